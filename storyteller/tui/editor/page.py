"""The page a writer writes on: typing, offers of continuation, and the keys for both.

The app opens an offer and feeds it; the writer takes it, refuses it or writes on; the app hears of it in the
messages of `messages`. Offers the writer has left behind are fed in vain, never into the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.document._document import Selection
from textual.reactive import reactive

from storyteller.manuscript.offer import Kind, Offer, Piece
from storyteller.manuscript.segments import count_change
from storyteller.tui.editor import messages
from storyteller.tui.editor.document import with_newlines
from storyteller.tui.editor.keys import PAGE_BINDINGS
from storyteller.tui.editor.painting import Layer
from storyteller.tui.editor.searchable import Searchable

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.content import Content

    from storyteller.manuscript.provenance import Origin, Provenance


class Page(Searchable, inherit_bindings=False):
    """The editor. Offsets count characters of `exact_text` everywhere."""

    Edited = messages.Edited
    CaretMoved = messages.CaretMoved
    OfferTaken = messages.OfferTaken
    OfferGivenBack = messages.OfferGivenBack
    OfferRejected = messages.OfferRejected
    OfferDismissed = messages.OfferDismissed
    AcceptUndone = messages.AcceptUndone
    ContinueRequested = messages.ContinueRequested
    AnotherRequested = messages.AnotherRequested
    EscapePressed = messages.EscapePressed

    BINDINGS: ClassVar[list[BindingType]] = PAGE_BINDINGS
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "page--mine",
        "page--accepted",
        "page--edited",
        "page--provisional",
    }
    DEFAULT_CSS = """
    Page {
        border: none;
        padding: 0;
        background: $background;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;

        &:focus { border: none; }
        & .page--mine { color: $foreground; }
        & .page--accepted { color: $text-accent; text-style: italic; }
        & .page--edited { color: $text-secondary; text-style: italic underline; }
        & .page--provisional { color: $foreground; text-style: italic dim; }
        & .page--unfocused { color: $foreground 45%; }
        & .page--match { background: $warning-muted; }
        & .page--current-match { background: $warning; color: $background; text-style: bold; }
    }
    """

    origins: reactive[bool] = reactive(default=False)
    """Colour the text by who wrote it."""

    def __init__(
        self,
        text: str = "",
        *,
        provenance: Provenance | None = None,
        caret: int = 0,
        placeholder: str | Content = "",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        self._offer: Offer | None = None
        super().__init__(placeholder=placeholder, id=id, classes=classes)
        self.load(text, provenance=provenance, caret=caret)

    def load(self, text: str, *, provenance: Provenance | None = None, caret: int = 0) -> None:
        """Show another text; the history begins anew. A `provenance` of another length is ignored."""
        self._offer = None
        super().load(text, provenance=provenance, caret=caret)

    # Offers, from the app's side

    @property
    def offer(self) -> Offer | None:
        """The offer at hand: open, hidden, or taken to its end but still to be given back."""
        return self._offer

    @property
    def offer_open(self) -> bool:
        """Whether an offer is in sight, or about to be: something stands there or may still come."""
        offer = self._offer
        return offer is not None and offer.phase != "hidden" and (offer.streaming or bool(offer.text))

    def open_offer(self, generation: str, take: int = 0, *, text: str = "", streaming: bool = True) -> Offer:
        """Offer a take at the caret: `text`, and what `feed` brings while `streaming`.

        An offer that is open makes way without a message; the pieces taken of it stay.
        """
        caret = self.settled_cursor
        self._close_offer()
        self._move_provisional(caret)
        self.place_caret(caret)
        self._offer = Offer(generation, take, text=text, streaming=streaming)
        self._show_offer()
        return self._offer

    def feed(self, offer: Offer, chunk: str) -> bool:
        """More of a take came. False: the writer is past that offer, and nothing was shown."""
        offer.feed(chunk)
        return self._offer_changed(offer)

    def rewind(self, offer: Offer, characters: int) -> bool:
        """The model took back the end of a take. Returns as `feed`."""
        offer.rewind(characters)
        return self._offer_changed(offer)

    def finish(self, offer: Offer, text: str | None = None) -> bool:
        """The take is complete; `text` is all of it. Returns as `feed`."""
        offer.finish(text)
        return self._offer_changed(offer)

    def hide_offer(self) -> bool:
        """Out of sight until `show_offer`, while it may be fed; the next edit drops it without a message."""
        if not self.offer_open or self._offer is None:
            return False
        self._offer.hide()
        self._show_offer()
        return True

    def show_offer(self) -> bool:
        """What was hidden is in sight again; False if nothing was, or an edit dropped it."""
        if self._offer is None or self._offer.phase != "hidden":
            return False
        self._offer.show()
        self._show_offer()
        return True

    def _offer_changed(self, offer: Offer) -> bool:
        if offer is not self._offer:
            return False
        self._show_offer()
        return True

    def _show_offer(self) -> None:
        offer = self._offer
        visible = offer is not None and offer.phase != "hidden"
        self._show_provisional(offer.text if offer is not None and visible else "")
        self._follow_offer()

    def _close_offer(self) -> None:
        self._show_provisional("")
        self._offer = None

    def _follow_offer(self) -> None:
        """Scroll so that the end of what grows is in sight, as long as the caret stays so too."""
        stretch = self._provisional
        height = self.scrollable_content_region.height
        if not stretch.text or self.typewriter or not height:
            return
        wrap, top = self.wrapped_document, self.scroll_offset.y
        caret = self._cursor_offset[1]
        if not top <= caret < top + height:
            return
        row, column = self.document.location_of(stretch.end)
        last = wrap.y_of(row) + wrap.part_of((row, column))
        if last >= top + height:
            self._scroll_rows_to(min(last + 1 - height, caret))

    # Offers, from the writer's side

    def accept(self, kind: Kind = "all") -> Piece | None:
        """Take the next piece of the open offer as one step of the history; None if nothing stands there."""
        offer = self._acceptable
        return self._accept_taken(offer) if offer is not None and offer.take_piece(kind) else None

    def accept_first(self, characters: int) -> Piece | None:
        """Take the first `characters` of what the open offer still has, as `accept` does."""
        offer = self._acceptable
        return self._accept_taken(offer) if offer is not None and offer.take_first(characters) else None

    @property
    def _acceptable(self) -> Offer | None:
        return self._offer if self.offer_open and not self.read_only else None

    def _accept_taken(self, offer: Offer) -> Piece:
        piece = offer.taken[-1]
        self._steps.checkpoint()
        self._settle_piece(offer, piece, "accepted", "accept")
        self._steps.checkpoint()
        return piece

    def give_back(self) -> bool:
        """Un-accept the piece accepted last, if nothing was done since."""
        if not self.can_give_back or self._offer is None:
            return False
        offer = self._offer
        change = self._steps.take_back()
        if change is None or change.accepted is None:
            return False
        piece = change.accepted[1]
        stretch = self._provisional
        left, right = self._around(change.start, stretch.start)
        self.provenance.put(change.first, change.last, change.origins)
        stretch.start, stretch.text = change.start, change.inserted + stretch.text
        self.words += count_change(left, change.inserted, "", right)
        self.selection = self._selection(change.before)
        offer.give_back()
        self._show_offer()
        self.refresh()
        self._edited(change.start, len(change.inserted), 0, "mine", "give_back")
        self.post_message(messages.OfferGivenBack(self, offer, piece, change.start))
        return True

    @property
    def can_give_back(self) -> bool:
        """Whether the last thing done was to accept a piece of the offer at hand."""
        last = self._steps.last
        return (
            self._offer is not None
            and self._offer.phase != "hidden"
            and last is not None
            and last.accepted is not None
            and last.accepted[0] is self._offer
            and bool(self._offer.taken)
            and last.accepted[1] is self._offer.taken[-1]
            and self._offsets(self.selection) == last.after
        )

    def reject(self) -> bool:
        """Refuse what is provisional; what was taken stays. False if nothing was offered."""
        if not self.offer_open or self._offer is None:
            return False
        offer, text, offset = self._offer, self._offer.text, self._provisional.start
        self._close_offer()
        self.post_message(messages.OfferRejected(self, offer, text, offset))
        return True

    def dismiss_offer(self, typed: str = "") -> bool:
        """Clear the offer away for something else, which is no rejection. False if nothing was offered."""
        offer, was_open, offset = self._offer, self.offer_open, self._provisional.start
        self._close_offer()
        if offer is None or not was_open:
            return False
        self.post_message(messages.OfferDismissed(self, offer, offer.text, typed, offset))
        return True

    def _settle_piece(self, offer: Offer, piece: Piece, origin: Origin, cause: messages.Cause) -> None:
        """What already stands there, provisional, becomes part of the text: nothing moves but the border."""
        stretch = self._provisional
        text = with_newlines(piece.text, self.document.newline)
        start, end = stretch.start, stretch.start + len(text)
        left, right = self._around(start, start)
        change = self._change(start, "", text, (end, end))
        if origin == "accepted":
            change.accepted = (offer, piece)
        stretch.start, stretch.text = end, stretch.text[len(text) :]
        self._repaint(start, end)
        self.provenance.replace(start, start, len(text), origin)
        self.words += count_change(left, "", text, right)
        self._record(change, origin, cause)
        self._show_offer()
        self.post_message(messages.OfferTaken(self, offer, piece, start, end))

    # What the layers below ask

    def consume(self, typed: str) -> bool:
        """Typing what is offered takes it, letter by letter."""
        offer = self._offer
        if offer is None or not self.offer_open or not self._at_offer or not offer.type_through(typed):
            return False
        self._settle_piece(offer, offer.taken[-1], "mine", "write")
        return True

    def settle(self, typed: str = "") -> None:
        """An edit comes: whatever is on offer makes way."""
        if self._offer is not None:
            self.dismiss_offer(typed)

    def _edited(self, start: int, removed: int, added: int, origin: Origin, cause: messages.Cause) -> None:
        super()._edited(start, removed, added, origin, cause)
        self.post_message(messages.Edited(self, start, removed, added, origin, cause))

    def _accept_undone(self, offer: Offer, piece: Piece, offset: int) -> None:
        self.post_message(messages.AcceptUndone(self, offer, piece, offset))

    def _validate_selection(self, selection: Selection) -> Selection:
        """A caret stands before or behind what is provisional, never in it."""
        clamped = super()._validate_selection(selection)
        stretch = self._provisional
        if not stretch.text:
            return clamped
        onwards = self.document.offset_of(self.selection.end) <= stretch.start
        edge = self.document.location_of(stretch.end if onwards else stretch.start)
        first, last = self.document.location_of(stretch.start), self.document.location_of(stretch.end)
        return Selection(*(edge if first < place < last else place for place in clamped))

    def _watch_selection(self, previous_selection: Selection, selection: Selection) -> None:
        super()._watch_selection(previous_selection, selection)
        if previous_selection != selection:
            self.post_message(messages.CaretMoved(self, self.settled_cursor))

    def _text_layers(self, row: int, start: int, end: int) -> list[Layer]:
        stretch = self._provisional
        base = self.document.row_start(row)
        layers: list[Layer] = []
        if self.origins:
            style = self.get_component_rich_style
            layers.append(Layer(start, end, style("page--mine")))
            first, last = stretch.settled(base + start), stretch.settled(base + end)
            for span in self.provenance.spans(first, last):
                left, right = stretch.placed(span.start, after=True), stretch.placed(span.end)
                layers.append(Layer(left - base, right - base, style(f"page--{span.origin}")))
        if stretch.text and stretch.start < base + end and stretch.end > base + start:
            provisional = self.get_component_rich_style("page--provisional")
            layers.append(Layer(stretch.start - base, stretch.end - base, provisional))
        return layers

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that stand twice take the offer where there is one, and move the caret where there is none."""
        match action:
            case "accept":
                return self._can_accept
            case "accept_word" | "accept_sentence" | "accept_line":
                return self._can_accept and self._at_offer
            case "give_back":
                return self.can_give_back
            case "continue" | "another":
                return not self.read_only
            case _:
                return super().check_action(action, parameters)

    @property
    def _can_accept(self) -> bool:
        return self.offer_open and bool(self._provisional.text) and not self.read_only

    @property
    def _at_offer(self) -> bool:
        caret = self.document.offset_of(self.cursor_location)
        return self.selection.is_empty and caret == self._provisional.start

    def action_continue(self) -> None:
        """Ask for a continuation, unless one is already on its way."""
        if not self.offer_open:
            self.post_message(messages.ContinueRequested(self))

    def action_another(self) -> None:
        """Ask for another take here."""
        self.post_message(messages.AnotherRequested(self))

    def action_escape(self) -> None:
        """Tell the app, which knows whether there is something to hide, to cancel or to refuse."""
        self.post_message(messages.EscapePressed(self))

    def action_accept(self) -> None:
        """Take the whole offer."""
        self.accept("all")

    def action_accept_word(self) -> None:
        """Take the next word."""
        self.accept("word")

    def action_accept_sentence(self) -> None:
        """Take the next sentence."""
        self.accept("sentence")

    def action_accept_line(self) -> None:
        """Take up to the end of the line."""
        self.accept("line")

    def action_give_back(self) -> None:
        """Give the last piece back."""
        self.give_back()
