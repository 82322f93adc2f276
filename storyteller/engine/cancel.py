"""Word from another thread that a request, or one take of it, is no longer wanted."""

from __future__ import annotations

import threading


class CancelSignal:
    """Set from any thread, read by the engine's thread between tokens. Once set it stays set."""

    def __init__(self) -> None:
        self._all = threading.Event()
        self._takes: set[int] = set()  # only ever grows; `add` and `in` are atomic

    def cancel(self, take: int | None = None) -> None:
        """Ask for the end of `take`, or of the whole request."""
        if take is None:
            self._all.set()
        else:
            self._takes.add(take)

    @property
    def all_cancelled(self) -> bool:
        """Whether the whole request is to end."""
        return self._all.is_set()

    def take_cancelled(self, take: int) -> bool:
        """Whether `take` is to end, by itself or with the whole request."""
        return self._all.is_set() or take in self._takes
