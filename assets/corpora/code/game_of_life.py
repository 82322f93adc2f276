"""Conway's game of life on an endless board."""

from collections import Counter
from itertools import product

Cell = tuple[int, int]


def step(alive: set[Cell]) -> set[Cell]:
    """Return the cells that are alive in the next generation.

    >>> blinker = {(0, 1), (1, 1), (2, 1)}
    >>> sorted(step(blinker))
    [(1, 0), (1, 1), (1, 2)]
    >>> step(step(blinker)) == blinker
    True
    """
    neighbours = Counter(
        (row + down, column + right)
        for row, column in alive
        for down, right in product((-1, 0, 1), repeat=2)
        if (down, right) != (0, 0)
    )
    return {
        cell
        for cell, count in neighbours.items()
        if count == 3 or (count == 2 and cell in alive)
    }


def parse(picture: str) -> set[Cell]:
    """Read the living cells, drawn as "#", from a picture."""
    return {
        (row, column)
        for row, line in enumerate(picture.splitlines())
        for column, mark in enumerate(line)
        if mark == "#"
    }


def draw(alive: set[Cell], rows: int, columns: int) -> str:
    """Return a picture of the board's upper left corner.

    >>> glider = parse(".#.\\n..#\\n###")
    >>> draw(step(glider), rows=4, columns=3).splitlines()
    ['...', '#.#', '.##', '.#.']
    """
    return "\n".join(
        "".join("#" if (row, column) in alive else "." for column in range(columns))
        for row in range(rows)
    )
