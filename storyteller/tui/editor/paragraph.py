"""Which rows belong to the paragraph at the caret, whatever way the file marks its paragraphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_ROWS: Final = 24
_MOST_CHARACTERS: Final = 1500


def paragraph_rows(rows: Sequence[str], row: int) -> range:
    """The rows around `row` up to the blank ones, where that is a paragraph's length; else `row` alone.

    So a stanza or a hard-wrapped paragraph is one, and a novel without blank lines is lit row by row.
    """
    alone = range(row, row + 1)
    if is_blank(rows[row]):
        return alone
    first, last = row, row + 1
    while first > 0 and not is_blank(rows[first - 1]) and last - first <= _MOST_ROWS:
        first -= 1
    while last < len(rows) and not is_blank(rows[last]) and last - first <= _MOST_ROWS:
        last += 1
    if last - first > _MOST_ROWS or sum(map(len, rows[first:last])) > _MOST_CHARACTERS:
        return alone
    return range(first, last)


def is_blank(row: str) -> bool:
    """Whether nothing is to be seen on a row."""
    return not row or row.isspace()
