"""Where the caret goes: by characters as people see them, and never by cutting a whole row into its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.document._document_navigator import DocumentNavigator

from storyteller.manuscript.segments import next_cluster, previous_cluster, word_end, word_left, word_right
from storyteller.tui.editor.cells import x_of

if TYPE_CHECKING:
    from textual.document._document import Location

    from storyteller.tui.editor.wrap import Wrap


class Navigator(DocumentNavigator):
    """Moves within the visual lines of a `Wrap`."""

    def __init__(self, wrap: Wrap) -> None:
        super().__init__(wrap)
        self._wrap = wrap

    def get_location_left(self, location: Location) -> Location:
        """One character to the left, or the end of the row above."""
        row, column = location
        if column > 0:
            return row, previous_cluster(self._document[row], column)
        return (row - 1, len(self._document[row - 1])) if row > 0 else (0, 0)

    def get_location_right(self, location: Location) -> Location:
        """One character to the right, or the start of the row below."""
        row, column = location
        if column < len(self._document[row]):
            return row, next_cluster(self._document[row], column)
        return (row + 1, 0) if row + 1 < self._document.line_count else location

    def get_location_above(self, location: Location) -> Location:
        """One visual line up, as near as can be to the cell the caret came from."""
        row, _ = location
        part = self._wrap.part_of(location)
        if part == 0 and row == 0:
            return 0, 0
        x = self._x(location, part)
        if part > 0:
            return row, self._wrap.get_target_document_column(row, x, part - 1)
        return row - 1, self._wrap.get_target_document_column(row - 1, x, -1)

    def get_location_below(self, location: Location) -> Location:
        """One visual line down, as near as can be to the cell the caret came from."""
        row, _ = location
        part = self._wrap.part_of(location)
        x = self._x(location, part)
        if part + 1 < self._wrap.row_height(row):
            return row, self._wrap.get_target_document_column(row, x, part + 1)
        if row + 1 < self._document.line_count:
            return row + 1, self._wrap.get_target_document_column(row + 1, x, 0)
        return row, len(self._document[row])

    def get_location_end(self, location: Location) -> Location:
        """The end of the visual line."""
        row, _ = location
        return row, self._wrap.last_column(row, self._wrap.part_of(location))

    def get_location_home(self, location: Location, smart_home: bool = False) -> Location:  # noqa: ARG002
        """The start of the visual line."""
        row, _ = location
        return row, self._wrap.bounds(row, self._wrap.part_of(location))[0]

    def get_location_word_left(self, location: Location) -> Location:
        """The start of the word before, or the end of the row above."""
        row, column = location
        if column > 0:
            return row, word_left(self._document[row], column)
        return (row - 1, len(self._document[row - 1])) if row > 0 else (0, 0)

    def get_location_word_right(self, location: Location) -> Location:
        """The start of the word after, or the start of the row below."""
        row, column = location
        if column < len(self._document[row]):
            return row, word_right(self._document[row], column)
        return (row + 1, 0) if row + 1 < self._document.line_count else location

    def get_location_word_end(self, location: Location) -> Location:
        """The end of the word after, past the spaces before it, or the start of the row below."""
        row, column = location
        line = self._document[row]
        if column >= len(line):
            return (row + 1, 0) if row + 1 < self._document.line_count else location
        while column < len(line) and line[column].isspace():
            column += 1
        return row, word_end(line, column)

    def _x(self, location: Location, part: int) -> int:
        row, column = location
        start, end = self._wrap.bounds(row, part)
        text = self._document[row][start:end]
        return max(x_of(text, column - start, self._wrap.tab_width), self.last_x_offset)
