"""Visual lines as strips: layers of style over a piece of text, painted once and remembered."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.segment import Segment
from textual.cache import LRUCache
from textual.strip import Strip

from storyteller.tui.editor.cells import shown, x_of

if TYPE_CHECKING:
    from rich.style import Style

_REMEMBERED: Final = 1024


class Layer(NamedTuple):
    """`style` over the columns from `start` to `end` of a visual line, upon the layers before it."""

    start: int
    end: int
    style: Style


class Line(NamedTuple):
    """All that decides how a visual line looks.

    `text` begins at cell `margin` of a strip `width` cells wide; a layer that reaches one column past the
    text colours the cell behind it, where the caret rests.
    """

    text: str
    base: Style
    layers: tuple[Layer, ...]
    margin: int
    width: int
    tab: int


class Painter:
    """Paints lines, and keeps the strips of the last thousand."""

    def __init__(self) -> None:
        self._strips: LRUCache[Line, Strip] = LRUCache(_REMEMBERED)

    def paint(self, line: Line) -> Strip:
        """The strip for a line."""
        strip = self._strips.get(line)
        if strip is None:
            strip = self._strips[line] = paint(line)
        return strip


def paint(line: Line) -> Strip:
    """The strip for a line, from nothing but the line."""
    end = len(line.text)
    edges = {0, end}
    for layer in line.layers:
        edges.add(min(max(layer.start, 0), end + 1))
        edges.add(min(max(layer.end, 0), end + 1))
    cuts = sorted(edges)
    segments: list[Segment] = []
    if line.margin:
        segments.append(Segment(" " * line.margin, line.base))
    x = 0
    for start, stop in pairwise(cuts):
        style = line.base
        for layer in line.layers:
            if layer.start <= start and stop <= layer.end:
                style += layer.style
        if start >= end:
            piece = " "
        else:
            x = x_of(line.text, start, line.tab) if "\t" in line.text else 0
            piece = shown(line.text[start:stop], x, line.tab)
        segments.append(Segment(piece, style))
    strip = Strip(segments)
    return strip.adjust_cell_length(line.width, line.base)
