"""The room: what the writer does with an offer is heard, told to the log, and said in the lines."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from textual import on
from textual.events import ScreenResume

from storyteller.feedback.survival import Place
from storyteller.manuscript.difference import changed_span
from storyteller.manuscript.provenance import Provenance
from storyteller.manuscript.segments import count_words
from storyteller.tui.acts import BY_ID
from storyteller.tui.asking import AskingDesk
from storyteller.tui.editor.messages import (
    AcceptUndone,
    Edited,
    OfferDismissed,
    OfferGivenBack,
    OfferRejected,
    OfferTaken,
)
from storyteller.tui.findbar import FindBar
from storyteller.tui.hints import State, hint_pieces
from storyteller.tui.over import OverRoom, RoomChanged
from storyteller.tui.standing import Writing, status_pieces

if TYPE_CHECKING:
    import asyncio

    from textual.timer import Timer

    from storyteller.manuscript.offer import Offer
    from storyteller.manuscript.takes import ShownTake
    from storyteller.tui.lines import Piece
    from storyteller.tui.live import LiveTake
    from storyteller.tui.manner import Manner
    from storyteller.tui.session import DocumentSession


class Room(AskingDesk):
    """Hears what the writer does with an offer, tells the log, and says in the lines how things stand."""

    def __init__(
        self, session: DocumentSession, *, focus: bool | None = None, manner: Manner | None = None
    ) -> None:
        super().__init__(session, focus=focus, manner=manner)
        self._look_timer: Timer | None = None

    # What the writer does about it

    @on(Edited)
    def _text_edited(self, event: Edited) -> None:
        written = event.cause == "write" and event.origin == "mine"
        self.prompter.edited(event.start, event.removed, event.added, written=written)
        self.await_pause(typed=written and event.added > 0 and event.removed == 0)
        self.await_prepare()

    @on(OfferTaken)
    def _offer_taken(self, event: OfferTaken) -> None:
        take, piece = self.prompter.take_of(event.offer), event.piece
        if take is not None:
            self.pauses.accepted()
            place = Place(event.offset, event.end)
            if piece.kind == "typed":
                self.witness.typed(take, piece, place)
            else:
                self.confirm(self.witness.took(take, piece, place), _kept(count_words(piece.text)))
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
            self.confirm(self.witness.refused("reject", take, event.offset, event.text), "Refused.")

    @on(OfferDismissed)
    def _offer_dismissed(self, event: OfferDismissed) -> None:
        take = self._refused(event.offer)
        if take is not None and event.text:
            self.witness.refused("dismiss", take, event.offset, event.text)

    def _refused(self, offer: Offer) -> LiveTake | None:
        """The take of an offer that left the page; its stream ends, for nobody waits for it."""
        self.pauses.refused(time.monotonic())
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

    def begin(self) -> None:
        """Everything was asked; the takes and origins of the last time come back."""
        super().begin()
        self.await_prepare()
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

    def saved(self, text: str, notes: tuple[str, ...], *, quietly: bool = False) -> None:
        """The document was saved as `text`."""
        before, now = self.prompter.document, self.document_name
        if before != now:
            self.background(self._renamed(self.storyteller.feedback.renamed(before, now)), "feedback")
            self.prompter.document = now
        self.witness.saved(text)
        self._keep_with(text)
        super().saved(text, notes, quietly=quietly)

    async def _renamed(self, noted: asyncio.Future[bool]) -> None:
        """A no to the document goes on under its new name, in the settings too."""
        if await noted:
            self.storyteller.keep_refusals()

    def _keep_with(self, text: str) -> None:
        """The takes and origins of the page come back with the file, which holds `text`."""
        if text == self.page.exact_text:
            anchors, spans = self.prompter.tree.anchors(), self.page.provenance.to_json()
            self.witness.keep(self.document_name, self.manner.genre, text, anchors, spans)

    def show_text(self, text: str) -> None:
        """Another text in place of what is on the page; takes stay where it is the same, and follow where it is not."""
        self.stop_stream()
        self.prompter.leave()
        self.prompter.gathered()
        span = changed_span(self.page.exact_text, text)
        super().show_text(text)
        self.prompter.edited(span.start, span.removed, len(span.added), written=False)

    def leave_document(self) -> None:
        """Let go of the document."""
        if not self.document_closed:
            if self.prompter.shown is not None:
                self.prompter.concealed(self.prompter.shown)
            self.witness.closed(self.page.exact_text)
            if self.session.speaks_for_file():  # takes may have come since it was saved
                self._keep_with(self.session.saved_text)
        super().leave_document()

    # The lines

    def refresh_lines(self) -> None:
        """Draw the lines as things stand, or let the screen over the room do that."""
        stack = self.app.screen_stack if self.is_attached else []
        over = [screen for screen in stack if isinstance(screen, OverRoom)]
        for screen in over:
            screen.post_message(RoomChanged())
        if not over:
            super().refresh_lines()

    @property
    def is_current(self) -> bool:
        """Whether it is in sight. Textual counts the screen under the top one even where that covers it all.

        Then it paints all of the top one again for everything that happens below.
        """
        return super().is_current and not isinstance(self.app.screen, OverRoom)

    @on(ScreenResume)
    def _in_sight_again(self) -> None:
        self.refresh_lines()

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
                training=self.storyteller.training_words,
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
            return "replacing" if self.query_one(FindBar).replacing else "finding"
        if page.offer is not None and page.offer_open:
            return "streaming" if page.offer.streaming else "ready"
        if prompter.hidden is not None:
            return "hidden"
        if self.running_braid is not None:
            return "braided"
        if page.read_only:
            return "reading"
        if not page.selection.is_empty:
            return "selection"
        model = self.storyteller.model
        return "loading" if model.ready is None and model.failed is None else "idle"


def _kept(words: int) -> str:
    if words == 0:
        return "Kept."
    return "Kept one word." if words == 1 else f"Kept {words} words."
