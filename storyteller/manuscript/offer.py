"""A continuation on offer: what has come, what the writer took of it, what is still provisional.

Pure: no screen, no clock. An offer is two texts, the model's take and the part of it that is already the
writer's; everything else follows from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from storyteller.manuscript.segments import next_line, next_sentence, next_word
from storyteller.text import writable_text

if TYPE_CHECKING:
    from collections.abc import Callable

Phase = Literal["streaming", "ready", "hidden"]
"""`hidden`: out of sight, while the stream may go on."""

Kind = Literal["all", "word", "sentence", "line", "caret", "typed"]
"""How a piece was taken; `caret` up to a place of the writer's choice, `typed` letter by letter, by typing the same."""


@dataclass(frozen=True)
class Piece:
    """A part of the take that the writer took: `text`, which begins `start` characters into the take."""

    start: int
    text: str
    kind: Kind

    @property
    def end(self) -> int:
        """How far into the take it reaches."""
        return self.start + len(self.text)


_BOUNDARIES: Final[dict[Kind, Callable[[str], int]]] = {
    "all": len,
    "word": next_word,
    "sentence": next_sentence,
    "line": next_line,
}


class Offer:
    """One take of one generation, offered at one place.

    Attributes:
        generation: id of the request it came from.
        take: which of the request's takes it is.
    """

    def __init__(self, generation: str, take: int = 0, *, text: str = "", streaming: bool = True) -> None:
        self.generation = generation
        self.take = take
        self._raw = text
        self._whole = writable_text(text)
        self._streaming = streaming
        self._hidden = False
        self._pieces: list[Piece] = []
        self._kept = ""

    @property
    def phase(self) -> Phase:
        """What it is doing, seen from the page."""
        if self._hidden:
            return "hidden"
        return "streaming" if self._streaming else "ready"

    @property
    def streaming(self) -> bool:
        """Whether more of it may come, hidden or not."""
        return self._streaming

    @property
    def whole(self) -> str:
        """The take as the model has it now: what was taken and what was not."""
        return self._whole

    @property
    def kept(self) -> str:
        """What the writer took, from the beginning of the take."""
        return self._kept

    @property
    def taken(self) -> tuple[Piece, ...]:
        """The pieces the writer took, in order."""
        return tuple(self._pieces)

    @property
    def text(self) -> str:
        """What is still provisional; nothing once the model has left the path that the writer took."""
        return self._whole[len(self._kept) :] if self._whole.startswith(self._kept) else ""

    @property
    def astray(self) -> bool:
        """The model went back behind what the writer took and went on differently."""
        return not (self._whole.startswith(self._kept) or self._kept.startswith(self._whole))

    # What the model does

    def feed(self, chunk: str) -> None:
        """More of the take came. Control characters are dropped, also when a chunk's border cuts them."""
        self._raw += chunk
        self._whole = writable_text(self._raw)

    def rewind(self, characters: int) -> None:
        """The model took back its last `characters`; what the writer took of them stays the writer's."""
        self._raw = self._raw[: max(0, len(self._raw) - characters)]
        self._whole = writable_text(self._raw)

    def finish(self, text: str | None = None) -> None:
        """No more comes. `text` is the whole take, the authority over what was streamed."""
        if text is not None:
            self._raw = text
            self._whole = writable_text(text)
        self._streaming = False

    # What the writer does

    def take_all(self) -> str:
        """Take what is there; returns it."""
        return self.take_piece("all")

    def take_word(self) -> str:
        """Take the next word with the spaces before it and the punctuation after it; returns it."""
        return self.take_piece("word")

    def take_sentence(self) -> str:
        """Take up to the end of the sentence; returns it."""
        return self.take_piece("sentence")

    def take_line(self) -> str:
        """Take up to the end of the line; returns it."""
        return self.take_piece("line")

    def take_piece(self, kind: Kind) -> str:
        """Take the next piece of that kind; returns it, `""` when nothing is there."""
        text = self.text
        return self._keep(text[: _BOUNDARIES[kind](text)], kind)

    def take_first(self, characters: int) -> str:
        """Take the first `characters` of what is provisional; returns them."""
        text = self.text
        first = text[: max(0, characters)]
        return self._keep(first, "all" if first == text else "caret")

    def type_through(self, typed: str) -> bool:
        """Whether `typed` is what comes next; if so it is taken."""
        if not typed or not self.text.startswith(typed):
            return False
        self._keep(typed, "typed")
        return True

    def give_back(self) -> str:
        """Un-take the last piece; returns it. What was typed is not given back: the writer wrote it."""
        if not self._pieces or self._pieces[-1].kind == "typed":
            return ""
        piece = self._pieces.pop()
        self._kept = self._kept[: piece.start]
        return piece.text

    def hide(self) -> None:
        """Out of sight; the stream may go on."""
        self._hidden = True

    def show(self) -> None:
        """In sight again."""
        self._hidden = False

    def _keep(self, text: str, kind: Kind) -> str:
        if text:
            self._pieces.append(Piece(len(self._kept), text, kind))
            self._kept += text
        return text
