"""Solve systems of linear equations exactly, with fractions."""

from fractions import Fraction


def solve(coefficients: list[list[int]], constants: list[int]) -> list[Fraction]:
    """Return the unknowns by Gaussian elimination.

    Each row of coefficients belongs to one equation.

    >>> x, y = solve([[2, 1], [1, -1]], [5, 1])  # 2x + y = 5, x - y = 1
    >>> print(x, y)
    2 1
    >>> print(*solve([[3]], [1]))
    1/3
    >>> solve([[1, 1], [2, 2]], [1, 2])
    Traceback (most recent call last):
        ...
    ValueError: the equations have no single solution
    """
    rows = [
        [Fraction(value) for value in [*row, constant]]
        for row, constant in zip(coefficients, constants, strict=True)
    ]
    size = len(rows)

    for column in range(size):
        pivot = next((r for r in range(column, size) if rows[r][column] != 0), None)
        if pivot is None:
            raise ValueError("the equations have no single solution")
        rows[column], rows[pivot] = rows[pivot], rows[column]

        # Scale the row so that it starts with one, then clear the column.
        first = rows[column][column]
        rows[column] = [value / first for value in rows[column]]
        for r in range(size):
            if r != column:
                factor = rows[r][column]
                rows[r] = [
                    value - factor * above
                    for value, above in zip(rows[r], rows[column], strict=True)
                ]

    return [row[-1] for row in rows]
