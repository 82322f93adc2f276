"""What the page tells the app, all in the past tense.

Offsets count characters of the settled manuscript: its exact text, newlines as they are in the file,
without anything provisional.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.message import Message

if TYPE_CHECKING:
    from storyteller.manuscript.offer import Offer, Piece
    from storyteller.manuscript.provenance import Origin
    from storyteller.tui.editor.page import Page

Cause = Literal["write", "accept", "give_back", "undo", "redo", "replace"]
"""What changed the settled text; `replace` is find and replace."""


@dataclass
class PageMessage(Message, namespace="page"):
    """A message from a page."""

    page: Page

    @property
    def control(self) -> Page:
        """The page, so that `@on(…, "#page")` can select it."""
        return self.page


@dataclass
class Edited(PageMessage, namespace="page"):
    """The settled text changed: `removed` characters at `start` made way for `added` others.

    `origin` is of the characters added. For `undo` and `redo` each character got its old origin back.
    """

    start: int
    removed: int
    added: int
    origin: Origin
    cause: Cause


@dataclass
class CaretMoved(PageMessage, namespace="page"):
    """The caret or the selection moved. Only the latest of several is delivered."""

    offset: int

    def can_replace(self, message: Message) -> bool:
        """Where the caret was a moment ago interests nobody."""
        return isinstance(message, CaretMoved)


@dataclass
class OfferTaken(PageMessage, namespace="page"):
    """A piece of the offer became the writer's, from `offset` to `end`; `piece.kind` tells how.

    It may be longer there than `piece.text`: the newlines are those of the file.
    """

    offer: Offer
    piece: Piece
    offset: int
    end: int


@dataclass
class OfferGivenBack(PageMessage, namespace="page"):
    """The piece last taken was un-accepted and is provisional again."""

    offer: Offer
    piece: Piece
    offset: int


@dataclass
class OfferRejected(PageMessage, namespace="page"):
    """The writer refused what was provisional; `text` is what stood at `offset`."""

    offer: Offer
    text: str
    offset: int


@dataclass
class OfferDismissed(PageMessage, namespace="page"):
    """The offer made way for something else the writer did, which is no rejection.

    `text` is what stood at `offset`, `typed` what the writer typed instead, if that was it.
    """

    offer: Offer
    text: str
    typed: str
    offset: int


@dataclass
class AcceptUndone(PageMessage, namespace="page"):
    """An undo took an accepted piece out of the text again."""

    offer: Offer
    piece: Piece
    offset: int


@dataclass
class ContinueRequested(PageMessage, namespace="page"):
    """The writer asked for a continuation at the caret."""


@dataclass
class AnotherRequested(PageMessage, namespace="page"):
    """The writer asked for another take here."""


@dataclass
class EscapePressed(PageMessage, namespace="page"):
    """Escape: the app decides between hiding, cancelling and rejecting."""
