"""A program in a pseudo-terminal, every byte it writes stamped with the time it arrived."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Chunk(NamedTuple):
    """What one read returned, and when (`time.perf_counter` seconds)."""

    at: float
    data: bytes


class TerminalProcess:
    """Runs `command` on a new pseudo-terminal and records its output until it is closed.

    Raises:
        OSError: no pseudo-terminal, or the command cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, columns: int = 100, rows: int = 40, environment: Mapping[str, str]
    ) -> None:
        self.chunks: list[Chunk] = []
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.started_at = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=dict(environment), start_new_session=True
        )
        os.close(slave)
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="terminal-reader", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def press(self, keys: str) -> float:
        """Send `keys` as typed; the time just before they were sent."""
        at = time.perf_counter()
        os.write(self._master, keys.encode())
        return at

    def output_since(self, at: float) -> bytes:
        """Everything that arrived after `at`."""
        return b"".join(chunk.data for chunk in list(self.chunks) if chunk.at >= at)

    def wait_for(self, seen: Callable[[bytes], bool], *, since: float, timeout: float) -> bool:
        """Wait until `seen` holds for the output after `since`; whether it did within `timeout` seconds."""
        deadline = time.perf_counter() + timeout
        with self._arrived:
            while not seen(self.output_since(since)):
                left = deadline - time.perf_counter()
                if left <= 0 or self.process.poll() is not None:
                    return seen(self.output_since(since))
                self._arrived.wait(min(left, 0.25))
        return True

    def close(self) -> None:
        """End the program, kindly first, and stop recording."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._reader.join(1)
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                ready, _, _ = select.select([self._master], [], [], 0.2)
                if not ready:
                    if self.process.poll() is not None:
                        return
                    continue
                data = os.read(self._master, 65536)
            except (OSError, ValueError):  # the other side is gone (EIO), or we closed
                return
            if not data:
                return
            self._record(Chunk(time.perf_counter(), data))

    def _record(self, chunk: Chunk) -> None:
        with self._arrived:
            self.chunks.append(chunk)
            self._arrived.notify_all()
