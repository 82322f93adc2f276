"""Stretch a rubber band around a set of points."""

from collections.abc import Iterable

Point = tuple[int, int]


def turn(a: Point, b: Point, c: Point) -> int:
    """Return a positive number when the way from a over b to c turns left.

    >>> turn((0, 0), (1, 0), (1, 1)) > 0
    True
    >>> turn((0, 0), (1, 1), (2, 2))
    0
    """
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def convex_hull(points: Iterable[Point]) -> list[Point]:
    """Return the corners of the hull, counterclockwise from the left.

    >>> convex_hull([(0, 0), (4, 0), (2, 1), (4, 4), (0, 4), (2, 0)])
    [(0, 0), (4, 0), (4, 4), (0, 4)]
    >>> convex_hull([(1, 1)])
    [(1, 1)]
    """
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered
    lower = _chain(ordered)
    upper = _chain(ordered[::-1])
    # Each half ends where the other begins.
    return lower[:-1] + upper[:-1]


def _chain(points: list[Point]) -> list[Point]:
    """Keep the points along which the way only ever turns left."""
    chain: list[Point] = []
    for point in points:
        while len(chain) >= 2 and turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain
