"""A decorator that remembers the results of a function."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def memoize(function: Callable[P, R]) -> Callable[P, R]:
    """Call the function once for each set of arguments, and no more.

    The arguments must be hashable.

    >>> @memoize
    ... def square(number: int) -> int:
    ...     print("working")
    ...     return number * number
    >>> square(4)
    working
    16
    >>> square(4)
    16
    >>> square.__name__
    'square'
    """
    results: dict[tuple[object, ...], R] = {}

    @wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> R:
        # Named arguments may come in any order.
        key = (args, tuple(sorted(kwargs.items())))
        if key not in results:
            results[key] = function(*args, **kwargs)
        return results[key]

    return remembered


@memoize
def partitions(total: int, largest: int) -> int:
    """Return in how many ways a number is a sum of parts of limited size.

    >>> partitions(5, 5)  # 5, 41, 32, 311, 221, 2111, 11111
    7
    >>> partitions(100, 100)
    190569292
    """
    if total == 0:
        return 1
    return sum(partitions(total - part, part) for part in range(1, min(total, largest) + 1))
