"""A program on a real pseudo-terminal with a terminal emulator on the other side: what a person would see."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Self

import pyte

from storyteller.bench.terminal import TerminalProcess
from storyteller.tui.dialogs.choice import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Terminal:
    """Runs a command and shows its screen. `wait_for` waits for what is to be seen, never for time to pass."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 100,
        rows: int = 30,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        settled = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self._running = TerminalProcess(
            command, columns=columns, rows=rows, environment={**os.environ, **settled, **(environment or {})}
        )
        self._screen = pyte.Screen(columns, rows)
        self._emulator = pyte.ByteStream(self._screen)
        self._shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._running.process.pid

    @property
    def raw(self) -> bytes:
        """Every byte the program wrote."""
        return b"".join(chunk.data for chunk in self._running.chunks)

    @property
    def lines(self) -> list[str]:
        """The screen as it is now, a row each."""
        chunks = self._running.chunks
        while self._shown < len(chunks):
            self._emulator.feed(chunks[self._shown].data)
            self._shown += 1
        return list(self._screen.display)

    @property
    def text(self) -> str:
        """The screen as one string."""
        return "\n".join(self.lines)

    def italics(self) -> str:
        """The characters shown in italics, row by row: provisional text."""
        rows = self.lines
        cells = self._screen.buffer
        return "".join(
            character
            for row, line in enumerate(rows)
            for column, character in enumerate(line)
            if cells[row][column].italics
        )

    def press(self, keys: str) -> None:
        """Send `keys` as a terminal would."""
        self._running.press(keys)

    def wait_for(self, expected: str | Callable[[Terminal], bool], timeout: float = 20.0) -> None:
        """Wait until `expected` is on the screen, or holds for this terminal.

        Raises:
            AssertionError: it did not come; the message is the screen.
        """

        def seen(_: bytes) -> bool:
            return expected in self.text if isinstance(expected, str) else expected(self)

        if not self._running.wait_for(seen, since=0.0, timeout=timeout):
            wanted = (
                expected
                if isinstance(expected, str)
                else getattr(expected, "__doc__", None) or "what was waited for"
            )
            raise AssertionError(f"{wanted!r} did not come within {timeout} s. The screen:\n{self.text}")

    def answer(self, question: str, key: str) -> None:
        """Answer a question that came by itself: it is read first, since what is typed at once answers nothing."""
        self.wait_for(question)
        time.sleep(1.5 * Choice.FIRST_MOMENT_S)
        self.press(key)

    def wait_for_quiet(self, seconds: float, timeout: float = 20.0) -> None:
        """Wait until nothing was painted for so long: the only sign that a screen is done.

        Raises:
            AssertionError: it never was.
        """
        since = time.perf_counter()  # what was pressed just now has not been answered yet
        deadline = since + timeout
        while time.perf_counter() - max(since, self._running.chunks[-1].at) < seconds:
            if time.perf_counter() > deadline:
                raise AssertionError(f"The screen did not come to rest within {timeout} s:\n{self.text}")
            time.sleep(seconds / 10)

    def send_signal(self, number: int) -> None:
        """Signal the program alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.send_signal(signal.SIGKILL)
        self._running.process.wait()

    def wait_for_exit(self, timeout: float = 10.0) -> int:
        """The exit code, once it ended.

        Raises:
            AssertionError: it did not end; the message is the screen.
        """
        try:
            return self._running.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"It did not end within {timeout} s. The screen:\n{self.text}") from error
