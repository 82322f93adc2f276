"""A store whose entries expire after a while."""

from collections.abc import Callable
from time import monotonic


class ExpiringStore:
    """A mapping from names to texts that are kept for some seconds.

    The clock can be replaced, so that tests need not wait.

    >>> now = 0.0
    >>> store = ExpiringStore(seconds=10, clock=lambda: now)
    >>> store["weather"] = "rain"
    >>> now = 9.0
    >>> store["weather"]
    'rain'
    >>> now = 10.0
    >>> "weather" in store
    False
    >>> len(store)
    0
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._entries: dict[str, tuple[float, str]] = {}

    def __setitem__(self, name: str, text: str) -> None:
        self._entries[name] = (self._clock() + self._seconds, text)

    def __getitem__(self, name: str) -> str:
        expires, text = self._entries[name]
        if self._clock() >= expires:
            del self._entries[name]
            raise KeyError(name)
        return text

    def __contains__(self, name: str) -> bool:
        try:
            self[name]
        except KeyError:
            return False
        return True

    def __len__(self) -> int:
        self.clean()
        return len(self._entries)

    def clean(self) -> None:
        """Drop everything that has expired."""
        now = self._clock()
        self._entries = {
            name: entry for name, entry in self._entries.items() if entry[0] > now
        }
