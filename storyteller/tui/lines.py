"""The quiet lines above and below the page: pieces of text that give way by rank when the terminal is narrow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widget import Widget

from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP: Final = 3


@dataclass(frozen=True)
class Piece:
    """Some text of a line. Lower ranks go first when there is no room; `style` is a Textual style.

    An `elastic` piece is cut before anything of a higher rank goes.
    """

    text: str
    rank: int = 0
    style: str = ""
    elastic: bool = False

    @property
    def width(self) -> int:
        """Cells."""
        return cell_len(display_line(self.text))


def fit(pieces: Sequence[Piece], width: int, gap: int = _GAP) -> list[Piece]:
    """The pieces that fit into `width` cells with `gap` between them, in their order; the last one is cut if need be."""
    kept = [piece for piece in pieces if piece.text]
    while kept and (excess := _width(kept, gap) - width) > 0:
        weakest = min(kept, key=lambda piece: piece.rank)
        room = weakest.width - excess
        if room > 0 and (weakest.elastic or len(kept) == 1):
            kept[kept.index(weakest)] = replace(weakest, text=_cut(weakest.text, room))
            return kept
        kept.remove(weakest)
    return kept


def line_up(left: Sequence[Piece], right: Sequence[Piece], width: int, gap: int = _GAP) -> Content:
    """One line of `width` cells: `left` pieces from the left, `right` pieces against the right edge."""
    kept = fit([*left, *right], width, gap)
    ends = len(kept) - sum(any(piece is other for other in right) for piece in kept)
    on_left, on_right = kept[:ends], kept[ends:]
    space = width - _width(on_left, gap) - _width(on_right, gap)
    parts = _joined(on_left, gap, after=max(0, space) if on_right else 0)
    return Content.assemble(*parts, *_joined(on_right, gap))


class Line(Widget):
    """One row of the screen, drawn from pieces. Nothing in them is markup."""

    DEFAULT_CSS = """
    Line { height: 1; width: 1fr; color: $room-muted; padding: 0 2; }
    """

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._left: tuple[Piece, ...] = ()
        self._right: tuple[Piece, ...] = ()

    def show(self, left: Sequence[Piece], right: Sequence[Piece] = ()) -> None:
        """Draw these pieces from now on."""
        if (tuple(left), tuple(right)) != (self._left, self._right):
            self._left, self._right = tuple(left), tuple(right)
            self.refresh()

    def render(self) -> Content:
        """The line at the widget's present width."""
        return line_up(self._left, self._right, self.content_size.width)

    @property
    def text(self) -> str:
        """What is shown, as plain text."""
        return self.render().plain


class Rule(Widget):
    """A line across the screen."""

    def render(self) -> Content:
        """As wide as the widget."""
        return Content("─" * self.content_size.width)


def _width(pieces: Sequence[Piece], gap: int) -> int:
    return sum(piece.width for piece in pieces) + gap * max(0, len(pieces) - 1)


def _cut(text: str, width: int) -> str:
    return set_cell_size(display_line(text), width - 1).rstrip() + "…" if width > 1 else "…"


def _joined(pieces: Sequence[Piece], gap: int, *, after: int = 0) -> list[tuple[str, str]]:
    """The pieces as styled text, each with the space that follows it: an export as SVG drops leading blanks."""
    if not pieces:
        return [(" " * after, "")]
    *others, last = pieces
    spaced = [(piece, gap) for piece in others] + [(last, after)]
    return [(display_line(piece.text) + " " * blanks, piece.style) for piece, blanks in spaced]
