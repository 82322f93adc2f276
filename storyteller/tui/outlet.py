"""The terminal as a file that never blocks for long and never raises.

Textual writes frames from a thread; a write that failed would end that thread, and a write that blocked
(a stopped terminal, a stalled connection) would block the event loop a moment later, for good.
"""

from __future__ import annotations

import io
import os
import select
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK: Final = 256  # bytes a terminal that polls as writable takes without blocking
_PATIENCE_S: Final = 0.25
_ABANDON_SEQUENCE: Final = b"\x18"  # CAN: whatever escape sequence was cut short ends here
# One cell for one, for terminals whose encoding has no such characters.
_PLAIN: Final = str.maketrans("─│•·…→←↑↓▸●○‹›“”–—’", '-|*.~><^v>*o<>""--\'')


class Outlet(io.TextIOBase):
    """Text for the terminal behind a file descriptor.

    When the terminal takes nothing for `_PATIENCE_S`, output is dropped; once it takes something again,
    `on_repaint` is called. When it is gone, `on_gone` is called once and output vanishes. Both are called
    on the thread that writes. What the encoding lacks becomes something plainer, or a question mark.
    """

    def __init__(
        self, fileno: int, encoding: str, *, on_repaint: Callable[[], object], on_gone: Callable[[], object]
    ) -> None:
        self._fileno = fileno
        self._encoding = encoding
        self._plain = not encoding.lower().replace("-", "").startswith("utf")
        self._on_repaint = on_repaint
        self._on_gone = on_gone
        self._dropping = False
        self._gone = False

    def fileno(self) -> int:
        """The terminal's file descriptor."""
        return self._fileno

    def isatty(self) -> bool:
        """Always: there is no outlet to anything else."""
        return True

    def write(self, text: str) -> int:
        """Write `text`, or drop it; the number of its characters either way."""
        if not self._gone:
            try:
                plain = text.translate(_PLAIN) if self._plain else text
                self._write(plain.encode(self._encoding, "replace"))
            except OSError:
                self._gone = True
                self._on_gone()
        return len(text)

    def _write(self, data: bytes) -> None:
        if self._dropping:
            if not self._writable(0):
                return
            self._dropping = False
            os.write(self._fileno, _ABANDON_SEQUENCE)
            self._on_repaint()
        view = memoryview(data)
        while view:
            if not self._writable(_PATIENCE_S):
                self._dropping = True
                return
            try:
                view = view[os.write(self._fileno, view[:_CHUNK]) :]
            except BlockingIOError:  # another program left the terminal non-blocking
                continue

    def _writable(self, timeout: float) -> bool:
        return bool(select.select([], [self._fileno], [], timeout)[1])
