"""Lines over a pipe, both ends: cut out of chunks as they come, refused past `MAX_LINE`, written whole."""

from __future__ import annotations

import os

import msgspec

from storyteller.engine.protocol import MAX_LINE

UNREADABLE = (
    msgspec.MsgspecError,
    UnicodeDecodeError,
    RecursionError,
)  # what decoding a line of anything may raise


class LineSplitter:
    """Cuts a stream of bytes at its newlines, whatever the chunks; holds at most one line of `limit` bytes."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes | None]:
        """The lines that `data` completes, without their newlines; None for one that was longer than the limit."""
        *ends, rest = data.split(b"\n")
        lines: list[bytes | None] = []
        for end in ends:
            self._extend(end)
            lines.append(b"".join(self._parts) if self._size <= self._limit else None)
            self._parts = []
            self._size = 0
        self._extend(rest)
        return lines

    def _extend(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        else:
            self._parts.clear()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, waiting for the reader as long as it takes.

    Raises:
        OSError: the other end is gone.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
