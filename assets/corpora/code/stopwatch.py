"""Measure how long a block of code takes."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import TracebackType


class Stopwatch:
    """A context manager that measures the seconds spent inside it.

    It may be used more than once; the times add up.

    >>> ticks = iter([1.0, 3.5, 10.0, 11.0])
    >>> watch = Stopwatch(clock=lambda: next(ticks))
    >>> with watch:
    ...     pass
    >>> watch.seconds
    2.5
    >>> with watch:
    ...     pass
    >>> watch.seconds, watch.laps
    (3.5, [2.5, 1.0])
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.laps: list[float] = []
        self._clock = clock
        self._started = 0.0

    def __enter__(self) -> Stopwatch:
        self._started = self._clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The time counts even when the block ends with an error.
        self.laps.append(self._clock() - self._started)

    @property
    def seconds(self) -> float:
        """All the time measured so far."""
        return sum(self.laps)
