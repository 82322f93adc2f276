"""Base and adapter side by side: the same prompt, the same settings, the same seed, two takes of one request."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, cast

from msgspec.structs import replace
from textual import on
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from storyteller.engine.presets import load_presets, shipped_presets
from storyteller.engine.protocol import AdapterWeight, Context, Generate
from storyteller.engine.settings import SEARCHES, SamplerSettings, StopRules
from storyteller.errors import SettingsError
from storyteller.genres import find_genre
from storyteller.text import display_text
from storyteller.tui.acts import BY_ID
from storyteller.tui.hints import TRIAL, key_pieces
from storyteller.tui.lines import Line, Piece
from storyteller.tui.mixing import STRONGEST, stepped, weight_words
from storyteller.tui.over import OVER, OverRoom
from storyteller.tui.prompt import context_before
from storyteller.tui.stream import OfferEnded, OfferFailed, OfferGrew, OfferRewound, Stream
from storyteller.tui.training.keys import TRIAL_BINDINGS
from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual._path import CSSPathType
    from textual.binding import BindingType
    from textual.widget import Widget
    from textual.worker import WorkType

    from storyteller.tui.room import Room

_TOKENS: Final = 120
_BESIDE: Final = 80  # cells from which they stand side by side
_SHOWN: Final = 600  # characters of the prompt's end that are shown
_BASE, _ADAPTER = 0, 1  # the sides
_BOTH: Final = (_BASE, _ADAPTER)


@dataclass(frozen=True)
class Trial:
    """What both are asked. `adapter` is the name of the one that is tried."""

    adapter: str
    context: Context
    settings: SamplerSettings


def trial_of(room: Room, genre: str, otherwise: str) -> Trial:
    """What `genre`'s adapter is tried on: the end of the page, or the prompt `otherwise` where there is no text."""
    text = room.page.exact_text
    header, settings = "", room.manner.settings
    try:
        found = find_genre(genre)
        header = found.prompt_hint
        presets = load_presets()
    except SettingsError:  # it was said when the room opened
        presets = shipped_presets()
    else:
        if found.preset in presets:
            settings = presets[found.preset].settings
    if text.strip():
        context = context_before(text, len(text), header=header)
    else:
        context = Context(text=otherwise, header=header)
    return Trial(genre, context, settings)


class TrialScreen(OverRoom[bool]):
    """Returns True where the writer goes on with the adapter."""

    BINDINGS: ClassVar[list[BindingType]] = TRIAL_BINDINGS
    CSS_PATH: ClassVar[CSSPathType | None] = [OVER, Path(__file__).parent / "training.tcss"]
    AUTO_FOCUS = ".side"

    def __init__(self, room: Room, trial: Trial, *, rng: random.Random | None = None) -> None:
        super().__init__(room)
        self._trial = trial
        self._rng = rng or random.Random()
        self._seed = self._rng.getrandbits(31)
        self._weight = 1.0
        self._texts = ["", ""]  # by side
        self._side_of: dict[tuple[str, int], int] = {}  # by request and take; earlier requests have none
        self._complete: set[int] = set()  # sides
        self._streams: list[Stream] = []
        self._trouble = ""

    def content(self) -> Iterable[Widget]:
        """The prompt's end, and two columns."""
        yield Line(id="top")
        yield Static(id="prompt", markup=False)
        yield Container(
            *(VerticalScroll(Static(markup=False), classes="side", id=name) for name in ("base", "adapter")),
            id="sides",
        )

    def on_mount(self) -> None:
        """Both begin."""
        text = self._trial.context.text[-_SHOWN:].strip("\n")
        self.query_one("#prompt", Static).update(Content(display_text(_last_lines(text)) or "An empty page."))
        self._write()

    def on_unmount(self) -> None:
        """Nobody waits for them any more."""
        self._cancel()

    @property
    def texts(self) -> tuple[str, str]:
        """What base and adapter wrote so far."""
        base, adapter = self._texts
        return base, adapter

    def draw(self) -> None:
        """Both texts as far as they are."""
        self.query_one("#sides").set_class(self.size.width >= _BESIDE, "-beside")
        name = self._trial.adapter
        mixed = name if self._weight == 1.0 else f"{name} {weight_words(self._weight)}"
        titles = {"base": "the base alone", "adapter": f"with {mixed}"}
        for (side, title), text in zip(titles.items(), self.texts, strict=True):
            pane = self.query_one(f"#{side}", VerticalScroll)
            pane.border_title = Content(title)
            pane.query_one(Static).update(Content(display_text(text.lstrip(" "))))
        left = [Piece(f"{name} beside the base", 9, "$foreground")]
        if self._trouble:
            left = [Piece(self._trouble, 9, "$room-alarm", elastic=True)]
        self.query_one("#top", Line).show(left, [Piece(f"seed {self._seed}", 3)])
        super().draw()

    def hint_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """What can be done here."""
        keymap = self.room.keymap
        return key_pieces(TRIAL, BY_ID, keymap), [Piece(keymap.shown(BY_ID["app.help"]), rank=99)]

    # Writing

    def _request(self, sides: Sequence[int]) -> Generate:
        """A take for each of `sides`, which the engine writes in one batch."""
        mixes = {_BASE: (), _ADAPTER: (AdapterWeight(self._trial.adapter, self._weight),)}
        request = Generate(
            id=uuid7(),
            context=self._trial.context,
            settings=self._trial.settings,
            stop=StopRules(max_tokens=_TOKENS),
            takes=len(sides),
            seeds=(self._seed,) * len(sides),
        )
        if len(sides) == 1:
            return replace(request, adapters=mixes[sides[0]])
        return replace(request, take_adapters=tuple(mixes[side] for side in sides))

    def _write(self, sides: Sequence[int] = _BOTH) -> None:
        self._cancel()
        self._trouble = ""
        self._side_of.clear()
        self._complete.difference_update(sides)
        # A search has one mix for all its takes.
        apart = self._trial.settings.method in SEARCHES
        for group in [(side,) for side in sides] if apart else [tuple(sides)]:
            request = self._request(group)
            for take, side in enumerate(group):
                self._texts[side] = ""
                self._side_of[request.id, take] = side
            self._streams.append(Stream(self.room.storyteller.engine, request, self.post_message))
        streams = list(self._streams)

        async def one_after_the_other() -> None:
            for stream in streams:
                await stream.run()

        self.run_worker(
            cast("WorkType[None]", one_after_the_other),
            name="trial",
            group="trial",
            exclusive=True,
            exit_on_error=False,
        )
        self.call_after_refresh(self._room_changed)

    def _cancel(self) -> None:
        """End what is being written. The room sees to it, since this may be on its way out."""
        for stream in self._streams:
            self.room.background(stream.cancel(), "cancel")
        self._streams = []

    @on(OfferGrew)
    def _grew(self, event: OfferGrew) -> None:
        side = self._side_of.get((event.generation, event.take))
        if side is not None:
            self._texts[side] += event.text
            self._room_changed()

    @on(OfferRewound)
    def _rewound(self, event: OfferRewound) -> None:
        side = self._side_of.get((event.generation, event.take))
        if side is not None:
            text = self._texts[side]
            self._texts[side] = text[: len(text) - event.characters]
            self._room_changed()

    @on(OfferEnded)
    def _ended(self, event: OfferEnded) -> None:
        side = self._side_of.get((event.done.id, event.done.take))
        if side is not None:
            self._texts[side] = event.done.text
            self._complete.add(side)
            self._room_changed()

    @on(OfferFailed)
    def _failed(self, event: OfferFailed) -> None:
        self._trouble = f"{event.title}: {event.message}"
        self._room_changed()

    # Deciding

    def action_again(self) -> None:
        """Both anew, with another seed."""
        self._seed = self._rng.getrandbits(31)
        self._write()

    def action_weigh(self, by: int) -> None:
        """The adapter weaker or stronger; the base stays as it is."""
        weight = stepped(self._weight, by)
        if weight != self._weight and 0 < weight <= STRONGEST:
            self._weight = weight
            self._write((_ADAPTER,) if _BASE in self._complete else _BOTH)

    def action_use(self) -> None:
        """Write with it from now on, as strong as it is here."""
        mixed = None if self._weight == 1.0 else (AdapterWeight(self._trial.adapter, self._weight),)
        try:
            genre = find_genre(self._trial.adapter)
            preset = load_presets().get(genre.preset)
        except SettingsError as error:
            self.room.say(error.message, alarm=True)
        else:
            own = self.room.storyteller.settings.preset
            self.room.mix(mixed)
            self.room.use_genre(genre, preset if own is None else None)
            self.room.storyteller.keep_setting("genre", genre.name)
        self.dismiss(True)  # noqa: FBT003 - the answer

    def action_leave(self) -> None:
        """Back to the run."""
        self.dismiss(None)


def _last_lines(text: str, most: int = 6) -> str:
    return "\n".join(text.split("\n")[-most:])
