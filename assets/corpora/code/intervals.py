"""Merge stretches of time, and find the gaps between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, order=True)
class Interval:
    """A stretch from a start up to, but not including, an end."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError("an interval must end after its start")

    def overlaps(self, other: Interval) -> bool:
        """Say whether two intervals have something in common.

        >>> Interval(1, 3).overlaps(Interval(2, 5))
        True
        >>> Interval(1, 3).overlaps(Interval(3, 5))
        False
        """
        return self.start < other.end and other.start < self.end


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the intervals in order, with those that touch joined.

    >>> merge([Interval(8, 9), Interval(1, 3), Interval(2, 6)])
    [Interval(start=1, end=6), Interval(start=8, end=9)]
    """
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if merged and interval.start <= merged[-1].end:
            last = merged.pop()
            interval = Interval(last.start, max(last.end, interval.end))
        merged.append(interval)
    return merged


def gaps(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """Yield the free stretches between the intervals.

    >>> list(gaps([Interval(1, 3), Interval(5, 6), Interval(2, 4)]))
    [Interval(start=4, end=5)]
    """
    for before, after in pairwise(merge(intervals)):
        yield Interval(before.end, after.start)
