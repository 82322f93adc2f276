"""A small matrix with the usual arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Matrix:
    """A rectangle of whole numbers, row by row.

    >>> a = Matrix(((1, 2), (3, 4)))
    >>> a @ Matrix.identity(2) == a
    True
    >>> (a + a).rows
    ((2, 4), (6, 8))
    >>> a.transpose().rows
    ((1, 3), (2, 4))
    >>> (Matrix(((1, 1), (1, 0))) ** 10).rows  # Fibonacci numbers
    ((89, 55), (55, 34))
    """

    rows: tuple[tuple[int, ...], ...]

    @classmethod
    def identity(cls, size: int) -> Matrix:
        """Return the square matrix that changes nothing it is multiplied by."""
        return cls(tuple(tuple(int(i == j) for j in range(size)) for i in range(size)))

    def transpose(self) -> Matrix:
        """Return the matrix with rows and columns exchanged."""
        return Matrix(tuple(zip(*self.rows, strict=True)))

    def __add__(self, other: Matrix) -> Matrix:
        pairs = zip(self.rows, other.rows, strict=True)
        return Matrix(tuple(tuple(map(sum, zip(a, b, strict=True))) for a, b in pairs))

    def __matmul__(self, other: Matrix) -> Matrix:
        columns = other.transpose().rows
        return Matrix(
            tuple(
                tuple(sum(x * y for x, y in zip(row, column, strict=True)) for column in columns)
                for row in self.rows
            )
        )

    def __pow__(self, exponent: int) -> Matrix:
        result, base = Matrix.identity(len(self.rows)), self
        # Squaring again and again takes few multiplications.
        while exponent:
            if exponent % 2:
                result = result @ base
            base = base @ base
            exponent //= 2
        return result
