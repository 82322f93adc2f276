"""Simulate a walker who takes every step in a random direction."""

from collections.abc import Iterator
from itertools import islice
from math import hypot
from random import Random
from statistics import fmean

DIRECTIONS = [(0, 1), (1, 0), (0, -1), (-1, 0)]


def walk(chance: Random) -> Iterator[tuple[int, int]]:
    """Yield the places the walker comes to, without end.

    >>> path = list(islice(walk(Random(7)), 100))
    >>> path[0]
    (0, 0)
    >>> all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in zip(path, path[1:]))
    True
    """
    x = y = 0
    while True:
        yield x, y
        right, up = chance.choice(DIRECTIONS)
        x, y = x + right, y + up


def mean_distance(steps: int, walks: int = 500, seed: int = 1) -> float:
    """Return how far from the start the walker is on average.

    The distance grows with the square root of the number of steps.

    >>> 8 < mean_distance(100) < 10
    True
    >>> mean_distance(0)
    0.0
    """
    chance = Random(seed)
    distances: list[float] = []
    for _ in range(walks):
        x, y = next(islice(walk(chance), steps, None))
        distances.append(hypot(x, y))
    return fmean(distances)
