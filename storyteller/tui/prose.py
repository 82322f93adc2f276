"""Prose in a box that is no editor: broken into lines as on the page, a window of it drawn, its places under the mouse.

Pure. Controls in the text are shown as what stands for them; nothing is markup.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from textual.content import Content

from storyteller.text import display_line
from storyteller.tui.editor.cells import column_at
from storyteller.tui.editor.wrap import wrap_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Row = tuple[int, int]
"""Where in the text a line on the screen begins and ends, its newline not included."""

Span = tuple[int, int, str]
"""A stretch of the text and its Textual style; later spans go over earlier ones."""

_TAB: Final = 1  # a tab takes one cell, so that a column is the same in the text and as shown


def rows(text: str, width: int, first: int = 0) -> list[Row]:
    """The lines of `text` from its character `first` on, in `width` cells.

    One cell is kept free at their end, for a caret or a hanging space.
    """
    return list(_rows(text[first:], max(1, width - 1), first))


def _rows(text: str, width: int, start: int) -> Iterator[Row]:
    for line in text.split("\n"):
        breaks = (0, *_breaks(line, width), len(line))
        yield from ((start + first, start + last) for first, last in pairwise(breaks))
        start += len(line) + 1


@lru_cache(maxsize=256)
def _breaks(line: str, width: int) -> Sequence[int]:
    """All paragraphs but the growing one are drawn again as they were."""
    return wrap_row(line, width, _TAB)


def row_of(lines: Sequence[Row], offset: int) -> int:
    """Which line `offset` is on; one at the border of two is on the later."""
    return next((number for number in range(len(lines) - 1, 0, -1) if lines[number][0] <= offset), 0)


def window(lines: Sequence[Row], offset: int, height: int) -> slice:
    """The `height` lines to be shown so that `offset` is in sight, with a line after it where there is one."""
    at = row_of(lines, offset)
    first = max(0, min(at, min(at + 2, len(lines)) - height))
    return slice(first, first + height)


def drawn(
    text: str, lines: Sequence[Row], spans: Sequence[Span] = (), *, caret: int | None = None
) -> list[Content]:
    """Lines of `text` with its spans styled; the character at `caret` is shown in reverse."""
    painted: list[Content] = []
    caret_row = -1 if caret is None else row_of(lines, caret)
    for number, (start, end) in enumerate(lines):
        shown = display_line(text[start:end].replace("\t", " "))
        here = (
            caret is not None
            and number == caret_row
            and start <= caret
            and (caret < end or (caret == end and _ends(text, end)))
        )
        content = Content(shown + " " if here and caret == end else shown)
        for first, last, style in spans:
            if first < end and last > start:
                content = content.stylize(style, max(first, start) - start, min(last, end) - start)
        if here and caret is not None:
            content = content.stylize("reverse", caret - start, caret - start + 1)
        painted.append(content)
    return painted


def _ends(text: str, end: int) -> bool:
    return end == len(text) or text[end] == "\n"


def offset_at(text: str, line: Row, x: int) -> int:
    """The offset of the character under cell `x` of a line; past its last one, its end."""
    start, end = line
    return start + column_at(text[start:end], x, _TAB)
