"""Search sorted sequences by halving them."""

from collections.abc import Callable, Sequence


def index_of(items: Sequence[int], target: int) -> int | None:
    """Return the position of the target in a sorted sequence, or None.

    >>> index_of([2, 3, 5, 7, 11], 7)
    3
    >>> index_of([2, 3, 5, 7, 11], 6) is None
    True
    """
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] == target:
            return middle
        if items[middle] < target:
            low = middle + 1
        else:
            high = middle
    return None


def first_true(low: int, high: int, test: Callable[[int], bool]) -> int:
    """Return the smallest number in the range for which the test holds.

    The test must be false up to some number and true from there on. When it
    is true nowhere, the answer is the end of the range.

    >>> first_true(0, 100, lambda n: n * n >= 50)
    8
    >>> first_true(0, 5, lambda n: n > 9)
    5
    """
    while low < high:
        middle = (low + high) // 2
        if test(middle):
            high = middle
        else:
            low = middle + 1
    return low
