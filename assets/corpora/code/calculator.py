"""Evaluate arithmetic, with brackets and the usual precedence."""

import re


class Calculator:
    """A recursive-descent parser that computes as it reads.

    >>> Calculator("2 + 3 * 4").value()
    14.0
    >>> Calculator("-(1 + 2) * 3 / 2").value()
    -4.5
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = [*re.findall(r"\d+\.?\d*|\S", text), "the end"]
        self._position = 0

    def value(self) -> float:
        """Return the value of the whole text."""
        result = self._sum()
        self._expect("the end")
        return result

    def _sum(self) -> float:
        result = self._product()
        while operator := self._accept("+", "-"):
            term = self._product()
            result = result + term if operator == "+" else result - term
        return result

    def _product(self) -> float:
        result = self._factor()
        while operator := self._accept("*", "/"):
            factor = self._factor()
            result = result * factor if operator == "*" else result / factor
        return result

    def _factor(self) -> float:
        if self._accept("-"):
            return -self._factor()
        if self._accept("("):
            result = self._sum()
            self._expect(")")
            return result
        number = self._tokens[self._position]
        self._position += 1
        return float(number)  # raises ValueError when it is no number

    def _accept(self, *wanted: str) -> str | None:
        """Move past the next token and return it if it is one of those wanted."""
        token = self._tokens[self._position]
        if token not in wanted:
            return None
        self._position += 1
        return token

    def _expect(self, wanted: str) -> None:
        if self._accept(wanted) is None:
            raise ValueError(f"expected {wanted!r} but found {self._tokens[self._position]!r}")
