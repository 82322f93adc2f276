"""Areas, perimeters and insides of polygons."""

from itertools import pairwise
from math import dist

Point = tuple[float, float]


def area(corners: list[Point]) -> float:
    """Return the area of a polygon, by the shoelace formula.

    >>> area([(0, 0), (4, 0), (4, 3), (0, 3)])
    12.0
    >>> area([(0, 0), (2, 0), (0, 2)])
    2.0
    """
    closed = [*corners, corners[0]]
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(closed))) / 2


def perimeter(corners: list[Point]) -> float:
    """Return the length of the way around a polygon.

    >>> perimeter([(0, 0), (3, 0), (3, 4)])
    12.0
    """
    return sum(dist(a, b) for a, b in pairwise([*corners, corners[0]]))


def contains(corners: list[Point], point: Point) -> bool:
    """Say whether a point lies inside a polygon.

    >>> square = [(0, 0), (4, 0), (4, 4), (0, 4)]
    >>> contains(square, (1, 2)), contains(square, (5, 2))
    (True, False)
    """
    x, y = point
    inside = False
    # A ray from inside crosses the border an odd number of times.
    for (x1, y1), (x2, y2) in pairwise([*corners, corners[0]]):
        if (y1 > y) != (y2 > y):
            crossing = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
            if x < crossing:
                inside = not inside
    return inside
