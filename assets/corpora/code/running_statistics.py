"""Mean and spread of numbers that arrive one by one."""

from collections.abc import Iterable
from math import inf, sqrt


class RunningStatistics:
    """Statistics that are kept up to date without storing the numbers.

    >>> heights = RunningStatistics([3.0, 7.0, 3.0, 7.0])
    >>> heights.count, heights.mean, heights.deviation
    (4, 5.0, 2.0)
    >>> heights.add(10.0)
    >>> heights.mean, heights.largest
    (6.0, 10.0)
    """

    def __init__(self, numbers: Iterable[float] = ()) -> None:
        self.count = 0
        self.mean = 0.0
        self.smallest = inf
        self.largest = -inf
        self._squares = 0.0
        for number in numbers:
            self.add(number)

    def add(self, number: float) -> None:
        """Take one more number into account."""
        self.count += 1
        # Welford's method: it does not lose digits as sums of squares would.
        distance = number - self.mean
        self.mean += distance / self.count
        self._squares += distance * (number - self.mean)
        self.smallest = min(self.smallest, number)
        self.largest = max(self.largest, number)

    @property
    def variance(self) -> float:
        """The mean squared distance from the mean."""
        return self._squares / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return sqrt(self.variance)
