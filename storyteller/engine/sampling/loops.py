"""Loops: a text that says the same over and over, found by the period of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_PERIOD: Final = 96


def find_loop(ids: Sequence[int], floor: int = 0) -> int | None:
    """The index at which the end of `ids` began to repeat itself, or None where it does not.

    A loop is the same stretch of at most `LONGEST_PERIOD` tokens often enough in a row: ten times for one
    token, twice for a long sentence. The index is where its second copy starts, so that going back there
    leaves it said once, but never before `floor` (the start of the take). Cost: one comparison a period.
    """
    size = len(ids)
    if size < 2:
        return None
    last = ids[-1]
    for period in range(1, min(LONGEST_PERIOD, size // 2) + 1):
        if ids[size - 1 - period] != last:
            continue
        if _repeated(ids, period) >= (_copies(period) - 1) * period:
            start = max(_second_copy(ids, period), floor)
            return start if start < size else None
    return None


def _copies(period: int) -> int:
    """So many copies of a stretch of `period` tokens are no style any more: a refrain is fine, "ha ha ha" too."""
    if period >= 16:
        return 2
    if period >= 8:
        return 3
    if period >= 3:
        return 4
    return 10 if period == 1 else 6


def _repeated(ids: Sequence[int], period: int) -> int:
    """How many tokens at the end equal those `period` before them, counted no further than needed."""
    wanted = (_copies(period) - 1) * period
    count = 0
    while count < wanted and count + period < len(ids) and ids[-1 - count] == ids[-1 - count - period]:
        count += 1
    return count


def _second_copy(ids: Sequence[int], period: int) -> int:
    start = len(ids) - period
    while start > period and ids[start - 1] == ids[start - 1 - period]:
        start -= 1
    return start
