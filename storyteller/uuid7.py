"""Identifiers that sort in the order they were made, whatever the clock does meanwhile (RFC 9562, version 7)."""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_COUNTER_BITS: Final = 12
_RANDOM_BITS: Final = 62


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def made_at(identifier: str) -> float | None:
    """When an id of ours was made, in seconds since 1970; None for any other."""
    try:
        parsed = uuid.UUID(identifier)
    except ValueError:
        return None
    return (parsed.int >> 80) / 1000 if parsed.version == 7 else None


class Uuid7Source:
    """Makes ids of 48 bits of milliseconds, a 12-bit counter and 62 random bits. Safe to call from any thread.

    A clock that stands still or jumps back leaves the milliseconds where they were and counts on instead,
    so the ids of one process never go backwards.
    """

    def __init__(self, clock_ms: Callable[[], int] = _wall_clock_ms) -> None:
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._milliseconds = 0
        self._counter = 0

    def __call__(self) -> str:
        """A new id in the usual form of 36 characters."""
        with self._lock:
            now = self._clock_ms()
            if now > self._milliseconds:
                self._milliseconds, self._counter = now, 0
            else:
                carry, self._counter = divmod(self._counter + 1, 1 << _COUNTER_BITS)
                self._milliseconds += carry
            milliseconds, counter = self._milliseconds, self._counter
        bits = milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | secrets.randbits(_RANDOM_BITS)
        return str(uuid.UUID(int=bits))


uuid7: Final = Uuid7Source()
