"""Where the manuscript's rows break into visual lines, and which visual line is where.

A drop-in for Textual's WrappedDocument that costs what an edit touches: a key in a paragraph of a million
words rewraps the few lines around it, and no table below the edit is renumbered. Lines break after
spaces and em dashes and between Han or kana (not before closing marks, not after opening ones); one space may
hang in the cell that is kept for the caret.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from textual.document._wrapped_document import WrappedDocument
from textual.geometry import Offset

from storyteller.manuscript.segments import next_cluster
from storyteller.manuscript.totals import Totals
from storyteller.tui.editor.cells import cluster_width, column_at, is_double, is_ideographic, is_single, x_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.document._document import Location

    from storyteller.tui.editor.document import Document, Splice

_WHOLE: Final[Sequence[int]] = ()  # one object for the many rows that fit on a line
LOOK_BACK: Final = 4  # visual lines before an edit that it may still change
_NEVER_FIRST: Final = frozenset(
    "、。，．！？：；・ー々ゝゞ）」』】〉》〕］｝〙〗”’…‥ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ%％℃,.!?:;)]}"
)
_SPACES: Final = frozenset(" \t\u3000\u2002\u2003\u2004\u2005\u2009\u200a\u200b")
_NEVER_LAST: Final = frozenset("（「『【〈《〔［｛〘〖“‘([{$＄￥£¥")


def next_break(text: str, start: int, width: int, tab: int) -> int | None:
    """Where the visual line that begins at `start` ends; None if the rest fits in `width` cells.

    It reads no further than one character past what fits, and nothing before `start`.
    """
    length = len(text)
    window = text[start : start + width + 1]
    if is_single(window):
        if length - start <= width:
            return None
        space = text.rfind(" ", start, start + width + 1)
        dash = text.rfind("—", start, start + width)
        if dash > space and text[dash + 1].isalnum():
            space = dash
        return space + 1 if space >= start else start + width
    if is_double(window[: width // 2 + 1]):
        fitting = max(1, width // 2)
        position = start + fitting
        if length <= position:
            return None
        while position > start and not _may_break(text, position):
            position -= 1
        return position if position > start else start + fitting
    return _next_break_in_mixed(text, start, width, tab)


def _next_break_in_mixed(text: str, start: int, width: int, tab: int) -> int | None:
    length = len(text)
    x = 0
    position = start
    chance = start
    while position < length:
        end = next_cluster(text, position)
        if position > start and _may_break(text, position):
            chance = position
        x += cluster_width(text[position:end], x, tab)
        if x > width:
            if x == width + 1 and text[position:end] == " ":
                return end
            if chance > start:
                return chance
            return position if position > start else end
        position = end
    return None


def _may_break(text: str, position: int) -> bool:
    """Whether a line may end before the character at `position`."""
    before, after = text[position - 1], text[position]
    if before in _SPACES:
        return True
    if before == "—":
        return after.isalnum()
    if after in _SPACES or after in _NEVER_FIRST or before in _NEVER_LAST:
        return False
    return is_ideographic(after) or is_ideographic(before)


def wrap_row(text: str, width: int, tab: int) -> Sequence[int]:
    """All the breaks of a row; none if `width` is 0."""
    if not width or (len(text) <= width and is_single(text)):
        return _WHOLE
    breaks: list[int] = []
    end = next_break(text, 0, width, tab)
    while end is not None:
        breaks.append(end)
        end = next_break(text, end, width, tab)
    return breaks or _WHOLE


def rewrap_row(
    text: str, old: Sequence[int], column: int, inserted: int, grown: int, width: int, tab: int
) -> Sequence[int]:
    """The breaks of a row after `inserted` characters were put in at `column` and it grew by `grown`.

    `old` are its breaks before; those before the edit, and those after the first that comes out the same,
    are kept.
    """
    keep = max(0, bisect_right(old, column) - LOOK_BACK)
    breaks = list(old[:keep])
    settled = column + inserted
    end = next_break(text, breaks[-1] if breaks else 0, width, tab)
    while end is not None:
        if end >= settled:
            same = bisect_left(old, end - grown)
            if same < len(old) and old[same] == end - grown:
                breaks.extend(position + grown for position in old[same:])
                return breaks
        breaks.append(end)
        end = next_break(text, end, width, tab)
    return breaks or _WHOLE


class Wrap(WrappedDocument):
    """The visual lines of a document.

    Attributes:
        lead: blank lines above the first, so that typewriter scrolling can hold the first line at mid-height.
        trail: blank lines below the last.
    """

    document: Document

    def __init__(self, document: Document, width: int = 0, tab_width: int = 4) -> None:
        self.lead = 0
        self.trail = 0
        self._breaks: list[Sequence[int]] = []
        self._heights = Totals()
        super().__init__(document, width, tab_width)

    @property
    def width(self) -> int:
        """The cells a visual line may take; 0 for no wrapping."""
        return self._width

    @property
    def tab_width(self) -> int:
        """The distance of tab stops."""
        return self._tab_width

    @property
    def wrapped(self) -> bool:
        """Whether any row takes more than one visual line."""
        return self._heights.total > len(self._breaks)

    @property
    def height(self) -> int:
        """Visual lines in all, blank ones around the text included."""
        return self.lead + self._heights.total + self.trail

    def wrap(self, width: int, tab_width: int | None = None) -> None:
        """Wrap everything anew."""
        self._width = width
        if tab_width:
            self._tab_width = tab_width
        tab = self._tab_width
        self._breaks = [wrap_row(line, width, tab) for line in self.document.lines]
        self._heights = Totals(len(breaks) + 1 for breaks in self._breaks)

    def wrap_range(self, start: Location, old_end: Location, new_end: Location) -> None:
        """Wrap the rows of an edit anew; what TextArea itself would call."""
        first = min(start[0], old_end[0])
        last = max(start[0], old_end[0])
        self._rewrap(first, last + 1, max(start[0], new_end[0]) + 1)

    def follow(self, splice: Splice) -> None:
        """Bring the tables up to date after a replacement in the document."""
        row = splice.row
        if splice.removed != 1 or splice.added != 1 or not self._width:
            self._rewrap(row, row + splice.removed, row + splice.added)
            return
        text = self.document[row]
        old = self._breaks[row]
        if not old:
            self._breaks[row] = wrap_row(text, self._width, self._tab_width)
        else:
            self._breaks[row] = rewrap_row(
                text, old, splice.column, splice.inserted, splice.grown, self._width, self._tab_width
            )
        self._heights.splice(row, row + 1, [len(self._breaks[row]) + 1])

    def _rewrap(self, first: int, old_last: int, new_last: int) -> None:
        width, tab = self._width, self._tab_width
        fresh = [wrap_row(line, width, tab) for line in self.document.lines[first:new_last]]
        self._breaks[first:old_last] = fresh
        self._heights.splice(first, old_last, [len(breaks) + 1 for breaks in fresh])

    # Rows and visual lines

    def get_offsets(self, line_index: int) -> list[int]:
        """The columns at which a row breaks."""
        if not 0 <= line_index < len(self._breaks):
            raise ValueError(f"row {line_index} of {len(self._breaks)}")
        return self._breaks[line_index]  # type: ignore[return-value]  # read-only by contract, and shared

    def line_at(self, y: int) -> tuple[int, int] | None:
        """The row and the part of it on visual line `y`; None above and below the text."""
        y -= self.lead
        if not 0 <= y < self._heights.total:
            return None
        row = self._heights.find(y)
        return row, y - self._heights.before(row)

    def y_of(self, row: int) -> int:
        """The visual line on which a row begins."""
        return self.lead + self._heights.before(row)

    def row_height(self, row: int) -> int:
        """How many visual lines a row takes."""
        return self._heights[row]

    def bounds(self, row: int, part: int) -> tuple[int, int]:
        """The columns between which a part of a row lies."""
        breaks = self._breaks[row]
        if part < 0:
            part += len(breaks) + 1
        start = breaks[part - 1] if part else 0
        end = breaks[part] if part < len(breaks) else len(self.document[row])
        return start, end

    def part_of(self, location: Location) -> int:
        """Which part of its row a location lies on."""
        return bisect_right(self._breaks[location[0]], location[1])

    def get_sections(self, line_index: int) -> list[str]:
        """The parts of a row as text."""
        text = self.document[line_index]
        edges = [0, *self._breaks[line_index], len(text)]
        return [text[start:end] for start, end in pairwise(edges)]

    def get_tab_widths(self, line_index: int) -> list[int]:
        """Not kept: a tab's width follows from its place in the visual line."""
        raise NotImplementedError("tab stops are measured where they are painted")

    def location_to_offset(self, location: Location) -> Offset:
        """The cell and the visual line of a location."""
        row = min(max(location[0], 0), len(self._breaks) - 1)
        part = self.part_of((row, location[1]))
        start, end = self.bounds(row, part)
        text = self.document[row][start:end]
        return Offset(x_of(text, location[1] - start, self._tab_width), self.y_of(row) + part)

    def offset_to_location(self, offset: Offset) -> Location:
        """The location at a cell of a visual line, or the nearest there is."""
        x, y = offset
        inside = min(max(y, self.lead), self.lead + self._heights.total - 1)
        row, part = self.line_at(inside) or (0, 0)
        return row, self.get_target_document_column(row, max(x, 0), part)

    def get_target_document_column(self, line_index: int, x_offset: int, y_offset: int) -> int:
        """The column of a row at a cell of its visual line `y_offset` (negative: from the end)."""
        breaks = self._breaks[line_index]
        part = y_offset if y_offset >= 0 else y_offset + len(breaks) + 1
        start, end = self.bounds(line_index, part)
        column = start + column_at(self.document[line_index][start:end], x_offset, self._tab_width)
        if part < len(breaks) and column >= end:
            # The place past the last character belongs to the next visual line.
            return self.last_column(line_index, part)
        return column

    def last_column(self, row: int, part: int) -> int:
        """The last column a caret can have on a part of a row."""
        start, end = self.bounds(row, part)
        if part == len(self._breaks[row]):
            return end
        text = self.document[row]
        last = start
        position = max(start, end - 64) if is_single(text[start:end]) else start
        while position < end:
            last = position
            position = next_cluster(text, position)
        return last
