"""Polynomials that can be added, multiplied and differentiated."""

from __future__ import annotations

from itertools import zip_longest


class Polynomial:
    """A polynomial, given by its coefficients from the constant upwards.

    >>> p = Polynomial(1, 0, 2)
    >>> p
    2x^2 + 1
    >>> p(3)
    19
    >>> p + Polynomial(0, 5)
    2x^2 + 5x + 1
    >>> Polynomial(-1, 1) * Polynomial(1, 1)
    x^2 - 1
    >>> p.derivative()
    4x
    """

    def __init__(self, *coefficients: int) -> None:
        kept = list(coefficients)
        while kept and kept[-1] == 0:
            kept.pop()
        self.coefficients = kept

    def __call__(self, x: int) -> int:
        # Horner's rule needs one multiplication for each coefficient.
        value = 0
        for coefficient in reversed(self.coefficients):
            value = value * x + coefficient
        return value

    def __add__(self, other: Polynomial) -> Polynomial:
        pairs = zip_longest(self.coefficients, other.coefficients, fillvalue=0)
        return Polynomial(*map(sum, pairs))

    def __mul__(self, other: Polynomial) -> Polynomial:
        product = [0] * (len(self.coefficients) + len(other.coefficients))
        for i, a in enumerate(self.coefficients):
            for j, b in enumerate(other.coefficients):
                product[i + j] += a * b
        return Polynomial(*product)

    def derivative(self) -> Polynomial:
        """Return the polynomial that gives the slope of this one."""
        return Polynomial(*(i * c for i, c in enumerate(self.coefficients) if i > 0))

    def __repr__(self) -> str:
        text = ""
        for power, c in reversed(list(enumerate(self.coefficients))):
            if c == 0:
                continue
            sign = (" - " if c < 0 else " + ") if text else ("-" if c < 0 else "")
            number = "" if abs(c) == 1 and power else str(abs(c))
            text += sign + number + {0: "", 1: "x"}.get(power, f"x^{power}")
        return text or "0"
