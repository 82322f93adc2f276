"""Evaluate expressions in postfix notation with a stack."""

import operator
from collections.abc import Callable

OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
}


def evaluate(expression: str) -> float:
    """Return the value of an expression such as "3 4 + 2 *".

    >>> evaluate("3 4 + 2 *")
    14.0
    >>> evaluate("2 3 ^ 10 -")
    -2.0
    >>> evaluate("1 +")
    Traceback (most recent call last):
        ...
    ValueError: '+' needs two numbers before it
    >>> evaluate("1 2")
    Traceback (most recent call last):
        ...
    ValueError: 2 numbers are left over
    """
    stack: list[float] = []
    for token in expression.split():
        if token not in OPERATORS:
            stack.append(float(token))
            continue
        if len(stack) < 2:
            raise ValueError(f"{token!r} needs two numbers before it")
        # The number on top of the stack is the right-hand one.
        right, left = stack.pop(), stack.pop()
        stack.append(OPERATORS[token](left, right))
    if len(stack) != 1:
        raise ValueError(f"{len(stack)} numbers are left over")
    return stack[0]
