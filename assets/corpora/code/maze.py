"""Find the way out of a maze with breadth-first search."""

from collections import deque
from collections.abc import Iterator

Place = tuple[int, int]


def find(maze: list[str], mark: str) -> Place:
    """Return the row and column at which a mark stands."""
    for row, line in enumerate(maze):
        if mark in line:
            return row, line.index(mark)
    raise ValueError(f"there is no {mark!r} in the maze")


def neighbours(maze: list[str], place: Place) -> Iterator[Place]:
    """Yield the places next to a place that are inside and not walls."""
    row, column = place
    for r, c in [(row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1)]:
        if 0 <= r < len(maze) and 0 <= c < len(maze[r]) and maze[r][c] != "#":
            yield r, c


def solve(maze: list[str]) -> list[Place] | None:
    """Return the shortest path from S to E, or None if there is no way.

    >>> solve(["S.#", "#..", "#.E"])
    [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2)]
    >>> solve(["S#E"]) is None
    True
    """
    start, end = find(maze, "S"), find(maze, "E")
    came_from: dict[Place, Place | None] = {start: None}
    queue = deque([start])
    while queue:
        place = queue.popleft()
        if place == end:
            break
        for step in neighbours(maze, place):
            if step not in came_from:
                came_from[step] = place
                queue.append(step)
    if end not in came_from:
        return None

    path: list[Place] = []
    current: Place | None = end
    while current is not None:
        path.append(current)
        current = came_from[current]
    return path[::-1]
