"""Solve sudoku puzzles by trying what is possible."""

DIGITS = set("123456789")


def choices(grid: str, cell: int) -> set[str]:
    """Return the digits that could go into a cell of the grid."""
    row, column = divmod(cell, 9)
    top, left = row - row % 3, column - column % 3
    used = set(grid[row * 9 : row * 9 + 9]) | set(grid[column::9])
    for r in range(top, top + 3):
        used |= set(grid[r * 9 + left : r * 9 + left + 3])
    return DIGITS - used


def solve(grid: str) -> str | None:
    """Return the grid with every dot replaced by a digit, or None.

    The grid is a string of 81 characters, row by row.

    >>> puzzle = (
    ...     "..3.78..5" "78.1.4.96" "....6.28."
    ...     "...7.1..." "..5682..4" "....9..28"
    ...     ".7.4.59.2" ".6..1..5." "......8.1"
    ... )
    >>> solution = solve(puzzle)
    >>> solution[:9], solution[-9:]
    ('693278145', '354926871')
    >>> solve("12345678." + "........9" + "." * 63) is None
    True
    """
    empty = [cell for cell, mark in enumerate(grid) if mark == "."]
    if not empty:
        return grid
    # Begin where there are fewest choices: a wrong guess is found out soon.
    cell = min(empty, key=lambda cell: len(choices(grid, cell)))
    for digit in sorted(choices(grid, cell)):
        solution = solve(grid[:cell] + digit + grid[cell + 1 :])
        if solution is not None:
            return solution
    return None
