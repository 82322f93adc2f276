"""Place queens on a chessboard so that none can take another."""

from collections.abc import Iterator


def queens(size: int, placed: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Yield each solution as the column of the queen in every row.

    >>> next(queens(4))
    (1, 3, 0, 2)
    >>> sum(1 for _ in queens(6))
    4
    >>> list(queens(3))
    []
    """
    row = len(placed)
    if row == size:
        yield placed
        return
    for column in range(size):
        if all(_safe(row - r, column - c) for r, c in enumerate(placed)):
            yield from queens(size, (*placed, column))


def _safe(rows: int, columns: int) -> bool:
    """Say whether queens this far apart leave each other alone."""
    return columns not in (0, rows, -rows)


def draw(columns: tuple[int, ...]) -> str:
    """Return a picture of a board.

    >>> print(draw(next(queens(4))))
    . Q . .
    . . . Q
    Q . . .
    . . Q .
    """
    size = len(columns)
    return "\n".join(
        " ".join("Q" if column == queen else "." for column in range(size))
        for queen in columns
    )
