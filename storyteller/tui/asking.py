"""A desk at which a model can be asked: requests go out, takes come in, and the prompter puts them on the page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual import on
from textual.worker import Worker, WorkerState

from storyteller.engine.protocol import AdapterWeight, Prepare
from storyteller.errors import SettingsError
from storyteller.tui.editor.messages import AnotherRequested, CaretMoved, ContinueRequested, EscapePressed
from storyteller.tui.finding import FindingDesk
from storyteller.tui.manner import Manner, with_preset
from storyteller.tui.mixing import as_setting, from_setting
from storyteller.tui.pauses import Pauses, may_offer
from storyteller.tui.prompter import Prompter
from storyteller.tui.stream import (
    OfferBegan,
    OfferEnded,
    OfferFailed,
    OfferGrew,
    OfferRemarked,
    OfferRewound,
    Stream,
    StreamEnded,
)
from storyteller.tui.witness import Witness
from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    from collections.abc import Collection

    from textual.timer import Timer

    from storyteller.engine.presets import Preset
    from storyteller.genres import Genre
    from storyteller.tui.lanes import Lanes
    from storyteller.tui.live import LiveTake
    from storyteller.tui.prompter import Asking
    from storyteller.tui.session import DocumentSession

PREPARE_AFTER_S = 0.5


class AskingDesk(FindingDesk):
    """Asks at Tab, after a pause if the writer wants it so, and hides or stops what is being written."""

    def __init__(
        self, session: DocumentSession, *, focus: bool | None = None, manner: Manner | None = None
    ) -> None:
        super().__init__(session, focus=focus)
        self._first = manner
        self.braid: Lanes | None = None  # the latest
        self._streams: dict[str, Stream] = {}  # by the id of their request
        self._until_began = ""  # what the engine said about a request that waits for it
        self._pause_timer: Timer | None = None
        self._prepare_timer: Timer | None = None
        self._preparing: str | None = None  # the id of what the engine was asked to read

    def on_mount(self) -> None:
        """Everything a request needs."""
        app = self.storyteller
        self.witness = Witness(app.feedback)
        self.prompter = Prompter(self.page, self.witness, document=self.document_name)
        self.manner = self._first or self._first_manner()
        self.pauses = Pauses(app.settings.auto_offer_delay_s)
        self.prompter.model = app.model.ready
        self._use_adapters()

    def _first_manner(self) -> Manner:
        from storyteller.engine.presets import load_presets, shipped_presets
        from storyteller.genres import load_genres, shipped_genres

        settings = self.storyteller.settings
        try:
            genres, presets = load_genres(), load_presets()
        except SettingsError as error:
            self.say(error.message)
            genres, presets = shipped_genres(), shipped_presets()
        genre = genres.get(settings.genre) or next(iter(genres.values()))
        wanted = settings.preset or genre.preset
        preset = presets.get(wanted) or next(iter(presets.values()))
        for kind, name, known in (("genre", settings.genre, genres), ("preset", wanted, presets)):
            if name not in known:
                self.say(f"There is no {kind} {name}; there are {', '.join(known)}.")
        return Manner(
            genre=genre.name,
            header=genre.prompt_hint,
            preset=preset,
            base=preset.settings,
            max_tokens=settings.max_tokens,
            end_at_sentence=settings.end_at_sentence,
        )

    def use_genre(self, genre: Genre, preset: Preset | None) -> None:
        """The model writes in `genre` from now on, with `preset` if one comes with it."""
        manner = replace(self.manner, genre=genre.name, header=genre.prompt_hint)
        self.manner = manner if preset is None else with_preset(manner, preset)
        self._use_adapters()
        self.await_prepare()
        self.refresh_lines()

    def mix(self, adapters: tuple[AdapterWeight, ...] | None) -> None:
        """The model writes with these adapters, the next time too; with None, with the genre's own."""
        self.storyteller.adapters = adapters
        kept = None if adapters is None else as_setting(adapters)
        if kept != self.storyteller.settings.mix:
            self.storyteller.keep_setting("mix", kept)
        self._use_adapters()
        self.await_prepare()
        self.refresh_lines()

    def model_changed(self) -> None:
        """The engine said something about the model."""
        self.prompter.model = self.storyteller.model.ready
        self._use_adapters()
        self.await_prepare()
        self.refresh_lines()

    def _use_adapters(self) -> None:
        there = self._adapters_there
        named = self._mix(there)
        if named is None:
            named = (AdapterWeight(self.manner.genre),) if self.manner.genre in there else ()
        self.prompter.adapters = named

    def will_write_with(self, name: str) -> bool:
        """Whether the model writes with the adapter `name` once it is there: it is in the mix, or the genre's own."""
        mix = self._mix((*self._adapters_there, name))
        if mix is None:
            return self.manner.genre == name
        return any(adapter.name == name for adapter in mix)

    def _mix(self, there: Collection[str]) -> tuple[AdapterWeight, ...] | None:
        """The mix in force where these adapters are there; None where each genre has its own."""
        mix = self.storyteller.adapters
        return mix if mix is not None else from_setting(self.storyteller.settings.mix, there)

    @property
    def _adapters_there(self) -> tuple[str, ...]:
        ready = self.storyteller.model.ready
        return tuple(ready.adapters) if ready is not None else ()

    # Asking

    def ask(self) -> None:
        """Ask for a continuation at the caret; its first take comes on the page."""
        self.stream(self.prompter.ask(self.manner, takes=self.storyteller.settings.takes))

    def stream(self, asking: Asking, *, beside: bool = False) -> None:
        """Send a request that the prompter prepared; earlier ones end, unless this one goes `beside` them."""
        request = asking.request
        if not beside:
            self._streams.clear()
        stream = self._streams[request.id] = Stream(self.storyteller.engine, request, self.post_message)
        self.background(stream.run, "stream", name=request.id, exclusive=not beside)
        self.refresh_lines()

    def stop_stream(self, take: LiveTake | None = None) -> None:
        """What is being written, or one take of it, ends within a token; what came of it is kept among the takes."""
        for stream in self._streams.values():
            if take is None:
                self._cancel(stream)
            elif take.offer.generation == stream.request.id:
                self._cancel(stream, take.offer.take if stream.request.takes > 1 else None)

    def _cancel(self, stream: Stream, take: int | None = None) -> None:
        self.background(stream.cancel(take), "cancel")

    @on(ContinueRequested)
    def _continue_requested(self) -> None:
        self.quiet()
        if not self.prompter.unhide():
            self.ask()
        self.refresh_lines()

    @on(AnotherRequested)
    def _another_requested(self) -> None:
        self.prompter.retried()
        self.ask()

    @on(EscapePressed)
    def _escape_pressed(self) -> None:
        prompter = self.prompter
        if prompter.hide():
            show, stop = self.key("page.continue"), self.key("page.escape")
            self.flash(f"It writes on out of sight: {show} shows it, {stop} stops it.")
        elif prompter.asking is not None and not self.page.offer_open:
            if prompter.hidden is not None:
                self.witness.did("reject", prompter.hidden)
            self.stop_stream()
            self.flash("Stopped.")
        elif not self.page.reject():
            self.close_find()
        self.refresh_lines()

    # What the stream brings

    @on(OfferBegan)
    def _offer_began(self, event: OfferBegan) -> None:
        self.prompter.began(event.began)
        self.no_longer(self._until_began)

    @on(OfferGrew)
    def _offer_grew(self, event: OfferGrew) -> None:
        self.prompter.grew(event.generation, event.take, event.text, event.rate)
        self.refresh_lines()

    @on(OfferRewound)
    def _offer_rewound(self, event: OfferRewound) -> None:
        self.prompter.rewound(event.generation, event.take, event.characters)

    @on(OfferEnded)
    def _offer_ended(self, event: OfferEnded) -> None:
        self.prompter.ended(event.done)
        self.refresh_lines()

    @on(StreamEnded)
    def _stream_ended(self, event: StreamEnded) -> None:
        self._streams.pop(event.generation, None)
        if not self.prompter.closed(event.generation) and not event.cancelled:
            self.flash("The model has nothing to add here.")
        self.await_prepare()
        self.refresh_lines()

    @on(Worker.StateChanged)
    def _stream_broke(self, event: Worker.StateChanged) -> None:
        """A fault of ours in the stream: what came of it is kept, and the model can be asked again."""
        if event.worker.group == "stream" and event.state is WorkerState.ERROR:
            self._streams.pop(event.worker.name, None)
            self.prompter.closed(event.worker.name)
            self.refresh_lines()

    @on(OfferRemarked)
    def _offer_remarked(self, event: OfferRemarked) -> None:
        asking = self.prompter.asking
        if asking is not None and asking.request.id == event.generation and asking.began is None:
            self._until_began = event.message
        self.say(event.message)

    @on(OfferFailed)
    def _offer_failed(self, event: OfferFailed) -> None:
        why_no_model = self.storyteller.model.failed  # says more than that there is none
        self.say(why_no_model or f"{event.title}: {event.message}", alarm=True)

    @property
    def running_braid(self) -> Lanes | None:
        """The braid of this place, left while its lanes grew."""
        lanes = self.braid
        if lanes is None or not lanes.streaming or lanes.anchor != self.page.settled_cursor:
            return None
        return lanes

    # What a pause brings

    def await_pause(self, *, typed: bool) -> None:
        """The text changed; after something was typed, and nothing for a while, an offer may come by itself."""
        if self._pause_timer is not None:
            self._pause_timer.stop()
        if typed and self.storyteller.settings.auto_offer:
            self._pause_timer = self.set_timer(self.pauses.delay(time.monotonic()), self._offer_after_pause)

    def _offer_after_pause(self) -> None:
        page = self.page
        line = page.text_before(200).rpartition("\n")[2]
        idle = self.prompter.asking is None and not page.offer_open and page.has_focus and self.is_current
        if idle and page.selection.is_empty and may_offer(line) and self.storyteller.model.ready is not None:
            self.ask()

    def await_prepare(self) -> None:
        """What the model would be shown changed, or a take is done: when nothing more happens, the engine may read.

        What it reads now is of a moment ago; it stops, and keeps what it has for the next time.
        """
        if self._prepare_timer is not None:
            self._prepare_timer.stop()
        self._prepare_timer = self.set_timer(PREPARE_AFTER_S, self._prepare)
        if self._preparing is not None:
            self.background(self.storyteller.engine.cancel(self._preparing), "prepare")
            self._preparing = None

    def _prepare(self) -> None:
        """Let the engine read the page while the writer thinks or reads a take, so that Tab is answered at once."""
        if self.storyteller.model.ready is None or self.prompter.asking is not None:
            return
        request = Prepare(
            id=uuid7(),
            context=self.prompter.context(self.manner),
            adapters=self.prompter.adapters,
            max_tokens=self.manner.max_tokens,
        )
        self._preparing = request.id
        self.background(self.storyteller.engine.prepare(request), "prepare")

    @on(CaretMoved)
    def _caret_came_to_rest(self) -> None:
        self.await_prepare()
