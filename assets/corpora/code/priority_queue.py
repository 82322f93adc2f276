"""A queue from which the most urgent task comes first."""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count


class PriorityQueue:
    """Tasks with priorities that can be changed; low numbers are urgent.

    >>> queue = PriorityQueue()
    >>> queue.add("water plants", 5)
    >>> queue.add("feed cat", 1)
    >>> queue.add("call Ann", 5)
    >>> queue.add("call Ann", 0)  # it has become urgent
    >>> list(queue)
    ['call Ann', 'feed cat', 'water plants']
    >>> len(queue)
    0
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str]] = []
        self._current: dict[str, int] = {}
        self._serial = count()

    def add(self, task: str, priority: int) -> None:
        """Add a task, or give it a new priority."""
        # Of equal priorities, the earlier serial number goes first.
        serial = next(self._serial)
        self._current[task] = serial
        heappush(self._heap, (priority, serial, task))

    def remove(self, task: str) -> None:
        """Take a task out of the queue, wherever it stands."""
        del self._current[task]

    def pop(self) -> str:
        """Remove the most urgent task and return it."""
        while self._heap:
            _, serial, task = heappop(self._heap)
            # Entries that were changed or removed are still in the heap.
            if self._current.get(task) == serial:
                del self._current[task]
                return task
        raise IndexError("the queue is empty")

    def __iter__(self) -> Iterator[str]:
        while self:
            yield self.pop()

    def __len__(self) -> int:
        return len(self._current)
