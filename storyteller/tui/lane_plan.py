"""Where the lanes of a braid stand on a screen: beside each other while their lines stay long enough to read. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_NARROWEST: Final = 30  # cells of a lane beside another
_BOXED: Final = 5  # rows from which a lane has a box; below, a line above it
_LOWEST: Final = 2  # rows of a lane: that line, and one of text
_SCROLLED: Final = 3  # rows of a lane once not all of them are in sight
_LINES: Final = 2  # the status line and the line of keys
_ABOVE: Final = ((26, 5), (16, 2), (0, 1))  # screens of so many rows keep so many for the manuscript
_FRAME: Final = 4  # cells, of a box and the blanks in it
_BORDERS: Final = 2  # rows of a box
_CELLS_PER_TOKEN: Final = 4.6  # English prose; more is found out as it comes


@dataclass(frozen=True)
class Plan:
    """A screen's lanes.

    Attributes:
        beside: how many stand side by side; the rest come below.
        rows: of one lane, its border included.
        area: rows of all of them.
        boxed: whether each has a box around it.
        scrolled: not all of them are in sight.
    """

    beside: int
    rows: int
    area: int
    boxed: bool
    scrolled: bool


def columns(count: int, width: int) -> int:
    """How many of `count` lanes stand side by side in `width` cells, so that no place stays empty."""
    fitting = max(1, width // _NARROWEST)
    return max(beside for beside in range(1, min(count, fitting) + 1) if count % beside == 0)


def text_width(beside: int, width: int) -> int:
    """Cells of a lane's text."""
    return max(1, width // beside - _FRAME)


def rows_for(lines: int) -> int:
    """Rows of a lane with so many lines of text."""
    return lines + _BORDERS


def likely_lines(tokens: int, width: int) -> int:
    """How many lines of `width` cells so many tokens of prose will fill."""
    return math.ceil(tokens * _CELLS_PER_TOKEN / width) + 1


def plan(count: int, width: int, height: int, wanted: int) -> Plan:
    """The lanes of a screen of `width` and `height`, where each would like `wanted` rows."""
    beside = columns(count, width)
    below = count // beside
    room = max(1, height - _LINES - next(above for least, above in _ABOVE if height >= least))
    rows = min(wanted, room // below)
    if rows < _LOWEST:
        return Plan(beside, _SCROLLED, room, boxed=False, scrolled=True)
    return Plan(beside, rows, rows * below, boxed=rows >= _BOXED, scrolled=False)
