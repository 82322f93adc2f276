"""Small tools that cut up and combine iterables."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of the given size; the last may be shorter.

    >>> list(chunks("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    if size < 1:
        raise ValueError("a chunk holds at least one item")
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def windows(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Yield each run of neighbouring items.

    >>> list(windows([1, 2, 3, 4], 3))
    [(1, 2, 3), (2, 3, 4)]
    """
    window: deque[T] = deque(maxlen=size)
    for item in items:
        window.append(item)
        if len(window) == size:
            yield tuple(window)


def take_turns(*iterables: Iterable[T]) -> Iterator[T]:
    """Yield one item from each iterable in turn until all are used up.

    >>> "".join(take_turns("abc", "1", "xy"))
    'a1xbyc'
    """
    waiting = deque(iter(iterable) for iterable in iterables)
    while waiting:
        iterator = waiting.popleft()
        for item in islice(iterator, 1):
            yield item
            waiting.append(iterator)
