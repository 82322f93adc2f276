r"""The manuscript as the editor holds it: lines that remember exactly how each of them ended.

Only `\r\n`, `\n` and `\r` end a line. Form feeds, NEL, U+2028 and the rest are characters like any other,
so that opening and saving without an edit gives the same bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, cast, overload

from textual.document._document import DocumentBase, EditResult
from textual.geometry import Size

from storyteller.manuscript.totals import Totals

if TYPE_CHECKING:
    from textual.document._document import Location, Newline

_NEWLINE: Final = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Splice:
    """What a replacement did to the rows: those from `row` on, `removed` of them, became `added` others.

    `column` is where the rows begin to differ, and `grown` by how many characters one row changed its
    length, where it stayed one row.
    """

    row: int
    removed: int
    added: int
    column: int
    inserted: int
    grown: int


class Document(DocumentBase):
    """Text as rows, addressed by offsets into the exact text or by Textual's (row, column) locations."""

    def __init__(self, text: str = "") -> None:
        self._lines, self._endings = split_lines(text)
        self._starts = Totals(
            len(line) + len(ending) for line, ending in zip(self._lines, self._endings, strict=True)
        )
        self._newline = dominant_newline(self._endings)
        self._text: str | None = text
        self.version = 0

    @property
    def length(self) -> int:
        """Characters of the exact text."""
        return self._starts.total

    @property
    def text(self) -> str:
        """The exact text; joined once for each version."""
        if self._text is None:
            self._text = "".join(chain.from_iterable(zip(self._lines, self._endings, strict=True)))
        return self._text

    @property
    def newline(self) -> Newline:
        """What ends most lines; new lines get it."""
        return self._newline

    @property
    def lines(self) -> list[str]:
        """The rows without their endings."""
        return self._lines

    @property
    def line_count(self) -> int:
        """How many rows: one more than line ends."""
        return len(self._lines)

    @property
    def start(self) -> Location:
        """Where the text begins."""
        return (0, 0)

    @property
    def end(self) -> Location:
        """Where the text ends."""
        return (len(self._lines) - 1, len(self._lines[-1]))

    @overload
    def __getitem__(self, line_index: int) -> str: ...

    @overload
    def __getitem__(self, line_index: slice) -> list[str]: ...

    def __getitem__(self, line_index: int | slice) -> str | list[str]:
        return self._lines[line_index]

    def get_line(self, index: int) -> str:
        """The row at `index` without its ending."""
        return self._lines[index]

    def get_size(self, indent_width: int) -> Size:
        """The longest row and the number of rows; only asked for when lines do not wrap."""
        return Size(max(len(line.expandtabs(indent_width)) for line in self._lines), len(self._lines))

    def get_text_range(self, start: Location, end: Location) -> str:
        """The exact text between two locations."""
        first, last = sorted((start, end))
        return self.slice(self.offset_of(first), self.offset_of(last))

    def replace_range(self, start: Location, end: Location, text: str) -> EditResult:
        """Replace between two locations; `text` is put in as it is."""
        first, last = sorted((start, end))
        offset, stop = self.offset_of(first), self.offset_of(last)
        removed = self.slice(offset, stop)
        self.replace(offset, stop, text)
        return EditResult(self.location_of(offset + len(text)), removed)

    # By offset

    def row_start(self, row: int) -> int:
        """The offset of the first character of a row."""
        return self._starts.before(row)

    def offset_of(self, location: Location) -> int:
        """The offset of a location; locations outside are moved to the nearest inside."""
        row, column = location
        if row >= len(self._lines):
            return self.length
        return self._starts.before(max(row, 0)) + min(max(column, 0), len(self._lines[row]))

    def location_of(self, offset: int) -> Location:
        r"""The location of an offset; one between `\r` and `\n` is the end of the line."""
        offset = min(max(offset, 0), self.length)
        row = self._starts.find(offset)
        return row, min(offset - self._starts.before(row), len(self._lines[row]))

    def slice(self, start: int, end: int) -> str:
        """The exact text between two offsets."""
        start, end = max(start, 0), min(end, self.length)
        if start >= end:
            return ""
        if self._text is not None:
            return self._text[start:end]
        first, last = self._starts.find(start), self._starts.find(end)
        base = self._starts.before(first)
        if first == last and end - base <= len(self._lines[first]):
            return self._lines[first][start - base : end - base]
        return self._block(first, last + 1)[start - base : end - base]

    def replace(self, start: int, end: int, text: str) -> Splice:
        r"""Put `text` in the place of what stands between two offsets.

        The rows are always those of the exact text: a `\r` and a `\n` that come to stand side by side
        become one line end.
        """
        first, last = self._starts.find(start), self._starts.find(end)
        base = self._starts.before(first)
        self.version += 1
        self._text = None
        if first == last and self._within_row(first, start - base, end - base, text):
            line = self._lines[first]
            self._lines[first] = line[: start - base] + text + line[end - base :]
            grown = len(text) - (end - start)
            self._starts.splice(first, first + 1, [self._starts[first] + grown])
            return Splice(first, 1, 1, start - base, len(text), grown)
        if start == base and first > 0 and self._endings[first - 1] == "\r":
            first -= 1
            base = self._starts.before(first)
        block = self._block(first, last + 1)
        lines, endings = split_lines(block[: start - base] + text + block[end - base :])
        if last + 1 < len(self._lines) and len(lines) > 1:
            lines.pop()  # what stands behind the block's last line end is the next row
            endings.pop()
        self._lines[first : last + 1] = lines
        self._endings[first : last + 1] = endings
        self._starts.splice(first, last + 1, [len(a) + len(b) for a, b in zip(lines, endings, strict=True)])
        return Splice(first, last + 1 - first, len(lines), 0, 0, 0)

    def _within_row(self, row: int, start: int, end: int, text: str) -> bool:
        """Whether a replacement leaves every line end alone."""
        if "\n" in text or "\r" in text or end > len(self._lines[row]):
            return False
        return not (start == 0 and row > 0 and self._endings[row - 1] == "\r")

    def _block(self, first: int, last: int) -> str:
        pairs = zip(self._lines[first:last], self._endings[first:last], strict=True)
        return "".join(chain.from_iterable(pairs))


def split_lines(text: str) -> tuple[list[str], list[str]]:
    """The rows of `text` and how each ends; the last ends with nothing. Joined in turn they are `text`."""
    if "\r" not in text:
        lines = text.split("\n")
        endings = ["\n"] * len(lines)
    else:
        endings = _NEWLINE.findall(text)
        lines = _NEWLINE.split(text)
        endings.append("")
    endings[-1] = ""
    return lines, endings


def dominant_newline(endings: list[str]) -> Newline:
    r"""The commonest line end; `\n` where there is none or a tie."""
    counts = Counter(endings)
    best = max(("\n", "\r\n", "\r"), key=lambda newline: counts[newline])
    return cast("Newline", best)


def with_newlines(text: str, newline: str) -> str:
    """`text` with every line end written as `newline`."""
    if "\r" not in text:
        return text if newline == "\n" else text.replace("\n", newline)
    return _NEWLINE.sub(lambda _: newline, text)
