"""The room: a desk at which a model sits. Messages of the page and of the stream meet here, and nowhere else."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual import on
from textual.worker import Worker, WorkerState

from storyteller.engine.protocol import AdapterWeight, Prepare
from storyteller.errors import SettingsError
from storyteller.manuscript.provenance import Provenance
from storyteller.tui.acts import BY_ID
from storyteller.tui.editor.messages import (
    AcceptUndone,
    AnotherRequested,
    ContinueRequested,
    Edited,
    EscapePressed,
    OfferDismissed,
    OfferGivenBack,
    OfferRejected,
    OfferTaken,
)
from storyteller.tui.finding import FindingDesk
from storyteller.tui.hints import State, hint_pieces
from storyteller.tui.manner import Manner
from storyteller.tui.over import OverRoom, RoomChanged
from storyteller.tui.pauses import Pauses, may_offer
from storyteller.tui.prompter import Prompter
from storyteller.tui.standing import Writing, status_pieces
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
    import asyncio

    from textual.timer import Timer

    from storyteller.genres import Genre
    from storyteller.manuscript.offer import Offer
    from storyteller.manuscript.takes import ShownTake
    from storyteller.tui.lanes import Lanes
    from storyteller.tui.lines import Piece
    from storyteller.tui.live import LiveTake
    from storyteller.tui.prompter import Asking
    from storyteller.tui.session import DocumentSession

_PREPARE_AFTER_S = 0.5


class Room(FindingDesk):
    """Asks at Tab, shows what streams, tells the log what became of it."""

    def __init__(self, session: DocumentSession) -> None:
        super().__init__(session)
        self.braid: Lanes | None = None  # the latest
        self._streams: dict[str, Stream] = {}  # by the id of their request
        self._look_timer: Timer | None = None
        self._pause_timer: Timer | None = None
        self._prepare_timer: Timer | None = None

    def on_mount(self) -> None:
        """Everything a request needs."""
        app = self.storyteller
        self.witness = Witness(app.feedback)
        self.prompter = Prompter(self.page, self.witness, document=self.document_name)
        self.manner = self._first_manner()
        self._pauses = Pauses(app.settings.auto_offer_delay_s)
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

    def use_genre(self, genre: Genre) -> None:
        """The model writes in `genre` from now on."""
        self.manner = replace(self.manner, genre=genre.name, header=genre.prompt_hint)
        self._use_adapters()
        self.refresh_lines()

    def model_changed(self) -> None:
        """The engine said something about the model."""
        self.prompter.model = self.storyteller.model.ready
        self._use_adapters()
        self.refresh_lines()

    def _use_adapters(self) -> None:
        ready = self.storyteller.model.ready
        own = ready is not None and self.manner.genre in ready.adapters
        named = self.storyteller.adapters
        self.prompter.adapters = named or ((AdapterWeight(self.manner.genre),) if own else ())

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
            self.flash("It writes on out of sight: Tab shows it, Esc stops it.")
        elif prompter.asking is not None:
            if prompter.hidden is not None:
                self.witness.did("reject", prompter.hidden)
                prompter.hidden = None
            self.stop_stream()
            self.flash("Stopped.")
        elif not self.page.reject():
            self.page.clear_find()
        self.refresh_lines()

    # What the stream brings

    @on(OfferBegan)
    def _offer_began(self, event: OfferBegan) -> None:
        self.prompter.began(event.began)

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
        self.say(event.message)

    @on(OfferFailed)
    def _offer_failed(self, event: OfferFailed) -> None:
        self.say(f"{event.title}: {event.message}", alarm=True)

    # What the writer does about it

    @on(Edited)
    def _text_edited(self, event: Edited) -> None:
        written = event.cause == "write" and event.origin == "mine"
        self.prompter.edited(event.start, event.removed, event.added, written=written)
        if written and event.added and not event.removed:
            self._await_pause()
        elif self._pause_timer is not None:
            self._pause_timer.stop()
        self._await_prepare()

    @on(OfferTaken)
    def _offer_taken(self, event: OfferTaken) -> None:
        take = self.prompter.take_of(event.offer)
        if take is not None:
            self._pauses.accepted()
            committed = self.witness.took(take, event.piece, event.offset)
            if event.piece.kind != "typed":
                words = len(event.piece.text.split())
                self.confirm(committed, f"Kept {words} {'word' if words == 1 else 'words'}.")
            self._look_later()
        if not self.page.offer_open and self.prompter.shown is take:
            self.prompter.leave()
        self.refresh_lines()

    @on(OfferGivenBack)
    def _offer_given_back(self, event: OfferGivenBack) -> None:
        take = self.prompter.take_of(event.offer)
        if take is not None:
            self.prompter.given_back(take)
            self.confirm(self.witness.gave_back(take, event.piece), "Given back.")
        self.refresh_lines()

    @on(OfferRejected)
    def _offer_rejected(self, event: OfferRejected) -> None:
        take = self._refused(event.offer)
        if take is not None:
            at = take.anchor + len(event.offer.kept)
            self.confirm(self.witness.refused("reject", take, at, event.text), "Refused.")

    @on(OfferDismissed)
    def _offer_dismissed(self, event: OfferDismissed) -> None:
        take = self._refused(event.offer)
        if take is not None and event.text:
            self.witness.refused("dismiss", take, take.anchor + len(event.offer.kept), event.text)

    def _refused(self, offer: Offer) -> LiveTake | None:
        """The take of an offer that left the page; its stream ends, for nobody waits for it."""
        self._pauses.refused(time.monotonic())
        self.witness.conclude(self.page.exact_text)
        take = self.prompter.take_of(offer)
        if take is not None and self.prompter.shown is take:
            self.prompter.leave()
        if offer.streaming:
            self.stop_stream()
        self.refresh_lines()
        return take

    @on(AcceptUndone)
    def _accept_undone(self, event: AcceptUndone) -> None:
        take = self.prompter.take_of(event.offer)
        if take is not None:
            self.witness.undid(take, event.piece)

    def confirm(self, committed: asyncio.Future[bool], words: str) -> None:
        """Say `words` once the log has it on disk, or has said that it keeps nothing."""

        async def wait() -> None:
            await committed
            self.flash(words)

        self.background(wait, "confirm", exclusive=True)

    # What time brings

    def _look_later(self) -> None:
        """Accepted text is looked at again when its time comes."""
        wait = self.witness.next_look
        if self._look_timer is not None:
            self._look_timer.stop()
        self._look_timer = None if wait is None else self.set_timer(wait + 0.05, self._look)

    def _look(self) -> None:
        self.witness.look(self.page.exact_text)
        self._look_later()

    def _await_pause(self) -> None:
        if self._pause_timer is not None:
            self._pause_timer.stop()
        if self.storyteller.settings.auto_offer:
            self._pause_timer = self.set_timer(self._pauses.delay(time.monotonic()), self._offer_after_pause)

    def _offer_after_pause(self) -> None:
        page = self.page
        line = page.text_before(200).rpartition("\n")[2]
        idle = self.prompter.asking is None and not page.offer_open and page.has_focus and self.is_current
        if idle and page.selection.is_empty and may_offer(line) and self.storyteller.model.ready is not None:
            self.ask()

    def _await_prepare(self) -> None:
        if self._prepare_timer is not None:
            self._prepare_timer.stop()
        self._prepare_timer = self.set_timer(_PREPARE_AFTER_S, self._prepare)

    def _prepare(self) -> None:
        """Let the engine read the page while the writer thinks, so that Tab is answered at once."""
        if self.storyteller.model.ready is None or self.prompter.asking is not None or self.page.offer_open:
            return
        request = Prepare(
            id=uuid7(),
            context=self.prompter.context(self.manner),
            adapters=self.prompter.adapters,
            max_tokens=self.manner.max_tokens,
        )
        self.background(self.storyteller.engine.prepare(request), "prepare")

    def begin(self) -> None:
        """Everything was asked; the takes and origins of the last time come back."""
        super().begin()
        if not self.session.is_new:
            self.background(self._restore(), "restore")

    async def _restore(self) -> None:
        page = self.page
        text: str | None = None
        takes: list[ShownTake] = []
        spans: str | None = None
        while text != page.exact_text:  # typed meanwhile: places are true for one text only
            text = page.exact_text
            takes, spans = await self.witness.restore(self.document_name, text)
        for take in takes:
            self.prompter.tree.add(take)
        if text is not None and spans is not None:
            with suppress(ValueError):  # kept by another version: colours are not worth a word
                page.provenance = Provenance.from_json(spans, len(text))
                page.refresh()
        self.refresh_lines()

    def saved(self, text: str, notes: tuple[str, ...]) -> None:
        """The document was saved as `text`."""
        self.prompter.document = self.document_name
        self.witness.saved(text)
        if text == self.page.exact_text:
            anchors, spans = self.prompter.tree.anchors(), self.page.provenance.to_json()
            self.witness.keep(self.document_name, self.manner.genre, text, anchors, spans)
        super().saved(text, notes)

    def leave_document(self) -> None:
        """Let go of the document."""
        if not self._document_closed:
            if self.prompter.shown is not None:
                self.witness.concealed(self.prompter.shown)
            self.witness.closed(self.page.exact_text)
        super().leave_document()

    # The lines

    def refresh_lines(self) -> None:
        """Draw the lines as things stand, and let whatever is over the room draw itself."""
        super().refresh_lines()
        if self.is_attached:
            for screen in self.app.screen_stack:
                if isinstance(screen, OverRoom):
                    screen.post_message(RoomChanged())

    @property
    def running_braid(self) -> Lanes | None:
        """The braid of this place, left while its lanes grew."""
        lanes = self.braid
        if lanes is None or not lanes.streaming or lanes.anchor != self.page.settled_cursor:
            return None
        return lanes

    def status_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """Genre, model, take, preset, place."""
        prompter = self.prompter
        return status_pieces(
            Writing(
                genre=self.manner.genre,
                adapters=prompter.adapters,
                model=self.storyteller.model,
                rate=prompter.rate,
                take=prompter.place,
                at_work=prompter.asking is not None,
                preset=self.manner.name,
                position=self.page.position,
            )
        )

    def hint_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """The keys worth knowing now."""
        absent = {"page.give-back"} if not self.page.can_give_back else set()
        number, count = self.prompter.place
        if count <= (1 if number else 0):
            absent |= {"offer.previous", "takes.list"}
        return hint_pieces(self.state, BY_ID, self.keymap, leave_out=frozenset(absent))

    @property
    def state(self) -> State:
        """What the hint line is about."""
        page, prompter = self.page, self.prompter
        if self.finding:
            return "finding"
        if page.offer is not None and page.offer_open:
            return "streaming" if page.offer.streaming else "ready"
        if prompter.asking is not None and prompter.hidden is not None:
            return "hidden"
        if self.running_braid is not None:
            return "braided"
        if page.read_only:
            return "reading"
        if not page.selection.is_empty:
            return "selection"
        model = self.storyteller.model
        return "loading" if model.ready is None and model.failed is None else "idle"
