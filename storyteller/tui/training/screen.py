"""The training screen: what is learned from and what would be done, then curves, samples and figures while it is done.

The run is a process of its own: leaving the screen, or the program, ends nothing.
"""

from __future__ import annotations

import asyncio
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from textual import on
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from storyteller.errors import CorpusError, SettingsError, StorytellerError, TrainingError
from storyteller.genres import find_genre, load_genres
from storyteller.text import display_line, display_text
from storyteller.training.corpus import shelf
from storyteller.training.run_folder import RunFolder
from storyteller.tui.acts import BY_ID
from storyteller.tui.hints import training_pieces
from storyteller.tui.lines import Line, Piece, Rule
from storyteller.tui.over import OVER, OverRoom
from storyteller.tui.training.curve import Curve, Series, smoothed, thinned
from storyteller.tui.training.keys import TRAINING_BINDINGS
from storyteller.tui.training.possible import Now, possible
from storyteller.tui.training.process import dry_run
from storyteller.tui.training.words import (
    figure_pieces,
    plan_lines,
    source_words,
    standing_sentence,
    top_pieces,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from textual._path import CSSPathType
    from textual.binding import BindingType
    from textual.widget import Widget

    from storyteller.training.events import Planned
    from storyteller.tui.room import Room
    from storyteller.tui.training.possible import Phase
    from storyteller.tui.training.progress import Point, Progress
    from storyteller.tui.training.watch import Watch

_BESIDE: Final = 100  # cells from which samples stand beside the curves
_TWO_CURVES: Final = 30  # rows from which the loss has a curve of its own
_POINTS: Final = 1_000
_SHOWN_SAMPLES: Final = 60


class TrainingScreen(OverRoom[None]):
    """Shows the run of `genre`: `watch` has looked at it already."""

    BINDINGS: ClassVar[list[BindingType]] = TRAINING_BINDINGS
    CSS_PATH: ClassVar[CSSPathType | None] = [OVER, Path(__file__).parent / "training.tcss"]
    AUTO_FOCUS = ""

    def __init__(self, room: Room, watch: Watch) -> None:
        super().__init__(room)
        self._watch = watch
        self._choosing = not (watch.going or watch.progress.begun or watch.trouble)
        self._sources: tuple[Path, ...] = ()
        self._shipped = False  # the texts are the ones that came with the program
        self._plan: tuple[Planned, list[str]] | None = None
        self._trouble = ""  # why there is no plan
        self._drawn: Phase | None = None
        self._sampled: object = None  # what the samples were drawn from

    def content(self) -> Iterable[Widget]:
        """What it is about; texts and plan, or curves and samples; figures."""
        yield Line(id="top")
        yield Rule(classes="rule")
        yield VerticalScroll(
            OptionList(id="sources", markup=False, compact=True),
            Static(id="plan", markup=False),
            id="choice",
            can_focus=False,
        )
        yield Container(
            Container(Curve("perplexity", id="perplexity"), Curve("loss", id="loss"), id="curves"),
            VerticalScroll(Static(markup=False), id="samples"),
            id="run",
        )
        yield Line(id="standing")
        yield Line(id="figures")

    def on_mount(self) -> None:
        """What there is to choose, or the run that goes on."""
        if self._choosing:
            self._choose()
        elif self._watch.going and not self._watch.following:
            self.room.storyteller.follow_training(self._watch.genre)

    @property
    def genre(self) -> str:
        """What is trained."""
        return self._watch.genre

    @property
    def phase(self) -> Phase:
        """What the screen is about now."""
        if self._watch.going:
            return "going"
        return "choosing" if self._choosing else "over"

    # Showing

    def draw(self) -> None:
        """Everything, as the run stands."""
        phase, progress = self.phase, self._watch.progress
        size = self.size
        self.set_class(phase == "choosing", "-choosing")
        run = self.query_one("#run")
        run.set_class(size.width >= _BESIDE, "-beside")
        run.set_class(size.height >= _TWO_CURVES, "-two")
        if phase == "choosing":
            self.query_one("#top", Line).show([Piece(f"Training {self.genre}", 9, "$foreground")])
            self.query_one("#plan", Static).update(self._plan_content())
        else:
            self.query_one("#top", Line).show(*top_pieces(self.genre, progress))
            self._draw_curves(progress)
            self._draw_samples(progress)
        figures = [] if phase == "choosing" else figure_pieces(progress, going=self._watch.going)
        self.query_one("#figures", Line).show(figures)
        alarm = phase == "over" and (progress.failed is not None or bool(self._watch.trouble))
        sentence = "" if phase == "choosing" else self._standing(progress)
        standing = self.query_one("#standing", Line)
        standing.show([Piece(sentence, 9, "$room-alarm" if alarm else "$foreground", elastic=True)])
        standing.set_class(bool(sentence), "-said")
        if phase != self._drawn:
            self._drawn = phase
            self.query_one("#sources" if phase == "choosing" else "#samples").focus()
        super().draw()

    def _standing(self, progress: Progress) -> str:
        watch = self._watch
        return standing_sentence(
            self.genre, progress, going=watch.going, asked=watch.asked or "", trouble=watch.trouble
        )

    def _draw_curves(self, progress: Progress) -> None:
        each = thinned(progress.losses, _POINTS)  # a long run is not smoothed whole for every draw
        losses = smoothed(each)
        learned: list[Point] = [(step, _perplexity(loss)) for step, loss in losses]
        self.query_one("#perplexity", Curve).show(
            [
                Series("held out", "main", progress.held_out),
                Series("training", "second", learned, dotted=True),
            ],
            progress.steps,
        )
        self.query_one("#loss", Curve).show(
            [
                Series("lately", "main", losses),
                Series("each step", "second", each, dotted=True),
            ],
            progress.steps,
        )

    def _draw_samples(self, progress: Progress) -> None:
        """The newest first, and the view stays at the top with them."""
        state = (progress, len(progress.samples), progress.samples[-1] if progress.samples else None)
        if state == self._sampled:
            return
        self._sampled = state
        samples = self.query_one("#samples", VerticalScroll)
        samples.border_title = Content("samples, the newest first")
        parts = [
            Content.assemble(
                (f"step {sample.step:,}\n", "$room-accent"),
                (display_text(sample.prompt), "$room-muted"),
                display_text(sample.text),
            )
            for sample in reversed(progress.samples[-_SHOWN_SAMPLES:])
        ]
        none = "None yet." if self._watch.going else "There are none."
        shown = Content("\n\n").join(parts or [Content.styled(none, "$room-muted")])
        self.query_one("#samples Static", Static).update(shown)

    def _plan_content(self) -> Content:
        if self._trouble:
            return Content.styled(display_text(self._trouble), "$room-alarm")
        if not self._sources:
            words = f"There are no texts for {self.genre} yet. Press a and name a folder of them."
            return Content.styled(words, "$foreground")
        if self._plan is None:
            return Content.styled("Reading the texts and working out what it would take …", "$room-muted")
        plan, warnings = self._plan
        parts = [
            Content.assemble((f"{name:<10}", "$room-muted"), display_line(value))
            for name, value in plan_lines(plan)
        ]
        parts += [Content("")] if warnings else []
        parts += [Content.styled(display_text(sentence), "$room-accent") for sentence in warnings]
        return Content("\n").join(parts)

    def hint_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """What can be done now."""
        return training_pieces(possible(self._now), BY_ID, self.room.keymap)

    @property
    def _now(self) -> Now:
        ready = self.room.storyteller.model.ready
        return Now(
            self.phase,
            self._watch.progress,
            planned=self._plan is not None,
            own_texts=bool(self._sources) and not self._shipped,
            adapter=ready is not None and self.genre in ready.adapters,
        )

    # Choosing

    def _choose(self) -> None:
        """Find the texts of the genre, and what learning them would take."""
        self._choosing = True
        self._plan, self._trouble = None, ""
        self._work(self._find_out, "plan")

    async def _find_out(self) -> None:
        try:
            genre = find_genre(self.genre)
            own = await asyncio.to_thread(shelf.registered, genre.name)
            self._sources = own or await asyncio.to_thread(shelf.sources, genre)
            self._shipped = not own
            self._show_sources()
            if self._sources:
                self._plan = await dry_run(self._watch.command, genre.name, self._arguments())
        except StorytellerError as error:
            self._trouble = error.message
        self.draw()

    def _show_sources(self) -> None:
        rows = self.query_one("#sources", OptionList)
        place = rows.highlighted
        home = Path.home()
        rows.set_options(
            Option(display_line(source_words(path, shipped=self._shipped, home=home)), id=str(number))
            for number, path in enumerate(self._sources)
        )
        if self._sources:
            rows.highlighted = min(place or 0, len(self._sources) - 1)
        self.draw()

    def _arguments(self) -> list[str]:
        """What is trained is the model that is open, so that what it learns can be used here."""
        ready = self.room.storyteller.model.ready
        return ["--base", ready.path] if ready is not None else []

    def action_genre(self) -> None:
        """Another genre: its run, or what there is to choose for it."""
        if self.phase != "going":
            self._work(self._pick_genre, "dialog")

    async def _pick_genre(self) -> None:
        from storyteller.tui.dialogs.picker import Picker, Row

        try:
            genres = load_genres()
        except SettingsError as error:
            self.room.say(error.message, alarm=True)
            return
        rows = [Row(genre.name, genre.title) for genre in genres.values()]
        picked = await self.app.push_screen_wait(Picker("Genre to train", rows, picked=self.genre))
        if picked is not None and picked != self.genre:
            watch = self._watch
            await watch.look(picked)
            self._drawn = None
            self._choosing = not (watch.going or watch.progress.begun)
            if self._choosing:
                self._choose()
            elif watch.going:
                self.room.storyteller.follow_training(picked)
            self.draw()

    def action_add(self) -> None:
        """Add texts to learn from; the genre keeps them."""
        if self.phase == "choosing":
            self._work(self._add_texts, "dialog")

    async def _add_texts(self) -> None:
        from storyteller.tui.dialogs.folder import FolderPicker

        begin = self._sources[0].parent if self._sources and not self._shipped else Path.home()
        picked = await self.app.push_screen_wait(FolderPicker(f"Texts for {self.genre}", begin))
        if picked is not None:
            await self._change_shelf(partial(shelf.add, self.genre, [picked]))

    def action_forget(self) -> None:
        """The texts under the cursor are not learned from any more; the files stay."""
        index = self.query_one("#sources", OptionList).highlighted
        if self.phase != "choosing" or index is None or not self._sources:
            return
        if self._shipped:
            self.room.flash("They ship with storyteller; texts of your own take their place.")
            return
        path = self._sources[index]
        self._work(partial(self._change_shelf, partial(shelf.remove, self.genre, [path])), "dialog")

    async def _change_shelf(self, change: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(change)
        except (CorpusError, SettingsError) as error:
            self.room.say(error.message, alarm=True)
        else:
            self._choose()
            self.draw()

    @on(OptionList.OptionSelected)
    def _entered(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_start()

    # The run

    def action_start(self) -> None:
        """Start what is planned; where an unfinished run is, only once the writer gave it up."""
        if self.phase != "choosing" or self._plan is None:
            return
        if RunFolder(self.genre).unfinished:
            self._work(self._start_or_resume, "dialog")
        else:
            self._begin()

    async def _start_or_resume(self) -> None:
        from storyteller.tui.training.unfinished import unfinished_run

        answer = await self.app.push_screen_wait(unfinished_run(self.genre))
        if answer is not None:
            self._begin(resume=answer == "resume", restart=answer == "restart")

    def action_resume(self) -> None:
        """Go on with a run that was stopped, or that stopped by itself."""
        if self._now.resumable:
            self._begin(resume=True)

    def _begin(self, *, resume: bool = False, restart: bool = False) -> None:
        app = self.room.storyteller
        try:
            self._watch.begin(self.genre, self._arguments(), resume=resume, restart=restart)
        except TrainingError as error:
            self.room.say(error.message, alarm=True)
            return
        self._choosing = False
        app.follow_training(self.genre)
        self.draw()

    def action_pause(self) -> None:
        """Pause after this step, or go on."""
        self._ask("go" if self._watch.progress.paused or self._watch.asked == "pause" else "pause")

    def action_stop(self) -> None:
        """Stop after this step; the best weights become the adapter."""
        self._ask("stop")

    def _ask(self, wish: Literal["go", "pause", "stop"]) -> None:
        if self.phase != "going":
            return
        try:
            self._watch.ask(wish)
        except OSError as error:
            self.room.say(f"It cannot be told ({error.strerror or error}).", alarm=True)

    def action_new(self) -> None:
        """Another run of the genre; the one that is over stays until it is started."""
        if self.phase == "over":
            self._choose()
            self.draw()

    def action_try(self) -> None:
        """Base and adapter side by side."""
        if not self._now.adapter:
            self.room.flash("There is no adapter to try yet.")
        elif self.phase != "choosing":
            self._work(self._try, "dialog")

    async def _try(self) -> None:
        from storyteller.tui.training.trial import TrialScreen, trial_of

        samples = self._watch.progress.samples
        trial = trial_of(self.room, self.genre, samples[-1].prompt if samples else "")
        if await self.app.push_screen_wait(TrialScreen(self.room, trial)):
            self.dismiss(None)

    def action_leave(self) -> None:
        """Back to the page."""
        self.dismiss(None)

    def _work(self, work: Callable[[], Coroutine[object, object, None]], group: str) -> None:
        self.run_worker(work, name=group, group=group, exclusive=True, exit_on_error=False)


def _perplexity(loss: float) -> float:
    """Of a loss in nats a token; what no float can hold is drawn as the largest anyone looks at."""
    return math.exp(min(loss, 16.0))
