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
    ...     "53..7...." "6..195..." ".98....6."
    ...     "8...6...3" "4..8.3..1" "7...2...6"
    ...     ".6....28." "...419..5" "....8..79"
    ... )
    >>> solution = solve(puzzle)
    >>> solution[:9], solution[-9:]
    ('534678912', '345286179')
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
