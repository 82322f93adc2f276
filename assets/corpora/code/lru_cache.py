"""A cache that forgets what was used longest ago."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LeastRecentCache(Generic[K, V]):
    """A mapping with room for a fixed number of entries.

    >>> cache: LeastRecentCache[str, int] = LeastRecentCache(capacity=2)
    >>> cache.put("one", 1)
    >>> cache.put("two", 2)
    >>> cache.get("one")  # now "two" is the oldest
    1
    >>> cache.put("three", 3)
    >>> cache.get("two") is None
    True
    >>> cache.hits, cache.misses
    (1, 1)
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a cache needs room for at least one entry")
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value for a key, or None when it is not in the cache."""
        if key not in self._entries:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: K, value: V) -> None:
        """Remember a value, at the cost of the one used longest ago."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self.capacity:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)
