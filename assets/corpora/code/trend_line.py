"""Fit a straight line to a set of points by least squares."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class Line:
    """A straight line with a slope and a height at zero."""

    slope: float
    intercept: float

    def at(self, x: float) -> float:
        """Return the height of the line at x."""
        return self.slope * x + self.intercept


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """Return the line that comes nearest to all the points.

    >>> line = fit_line([1, 2, 3, 4], [3, 5, 7, 9])
    >>> line
    Line(slope=2.0, intercept=1.0)
    >>> line.at(10)
    21.0
    >>> fit_line([1, 1], [0, 5])
    Traceback (most recent call last):
        ...
    ValueError: the points need at least two different x values
    """
    if len(set(xs)) < 2:
        raise ValueError("the points need at least two different x values")
    mean_x, mean_y = fmean(xs), fmean(ys)
    together = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = together / spread
    return Line(slope, mean_y - slope * mean_x)
