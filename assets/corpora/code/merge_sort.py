"""Sort a list by merging its sorted halves."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def merge_sort(items: list[T], key: Callable[[T], Any] = lambda item: item) -> list[T]:
    """Return a new sorted list; equal items keep their order.

    >>> merge_sort([5, 2, 9, 1, 5])
    [1, 2, 5, 5, 9]
    >>> merge_sort(["pear", "fig", "plum", "kiwi"], key=len)
    ['fig', 'pear', 'plum', 'kiwi']
    >>> merge_sort([])
    []
    """
    if len(items) < 2:
        return list(items)
    middle = len(items) // 2
    left = merge_sort(items[:middle], key)
    right = merge_sort(items[middle:], key)
    return _merge(left, right, key)


def _merge(left: list[T], right: list[T], key: Callable[[T], Any]) -> list[T]:
    """Merge two sorted lists into one."""
    merged: list[T] = []
    i = j = 0
    while i < len(left) and j < len(right):
        # Taking from the right only when it is smaller keeps the sort stable.
        if key(right[j]) < key(left[i]):
            merged.append(right[j])
            j += 1
        else:
            merged.append(left[i])
            i += 1
    merged.extend(left[i:])
    merged.extend(right[j:])
    return merged
