"""The room on a terminal that is its controlling one, with everything a terminal can do to a program."""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pexpect
import pyte

from storyteller.config import config_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent.parent
MODES = (b"?1049", b"?1000", b"?1003", b"?1006", b"?1015", b"?1004", b"?2004")
"""What is switched on for the room and must be switched off again."""


class PtyRoom:
    """`tests.stubs.room_program` under a pseudo-terminal; its screen is read through an emulator."""

    def __init__(
        self,
        document: Path,
        *arguments: str,
        rows: int = 30,
        columns: int = 100,
        environment: dict[str, str] | None = None,
        ignore_hang_up: bool = False,
        command: Sequence[str] = ("-m", "tests.stubs.room_program"),
    ) -> None:
        config_path().parent.mkdir(parents=True, exist_ok=True)
        config_path().write_text('consent = "no"\n', encoding="utf-8")
        settled = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
        self.raw = b""
        self._screen = pyte.Screen(columns, rows)
        self._emulator = pyte.ByteStream(self._screen)
        self.child = pexpect.spawn(
            sys.executable,
            [*command, str(document), *arguments],
            env={**os.environ, **settled, **(environment or {})},
            dimensions=(rows, columns),
            ignore_sighup=ignore_hang_up,
            timeout=10,
        )
        self.child.delaybeforesend = None
        self.attributes = termios.tcgetattr(self.child.child_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.isalive():
            os.kill(self.child.pid, signal.SIGCONT)
            self.child.kill(signal.SIGKILL)
        if not self.child.closed:
            self.child.close(force=True)

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self._screen.display)

    def cells(self) -> list[pyte.screens.Char]:
        """Every cell of the screen, row by row."""
        buffer = self._screen.buffer
        return [
            buffer[row][column] for row in range(self._screen.lines) for column in range(self._screen.columns)
        ]

    def read(self, timeout: float = 0.05) -> bool:
        """Take in what the room writes next; False where it writes nothing, or is gone."""
        try:
            data = self.child.read_nonblocking(65536, timeout)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return False
        self.raw += data
        self._emulator.feed(data)
        return True

    def wait_for(self, seen: str | Callable[[], bool], timeout: float = 10.0) -> None:
        """Until `seen` is on the screen, or holds."""
        deadline = time.monotonic() + timeout
        while not (seen in self.text if isinstance(seen, str) else seen()):
            assert time.monotonic() < deadline, f"{seen!r} did not come. The screen:\n{self.text}"
            self.read()

    def send(self, keys: str | bytes) -> None:
        """Type."""
        self.child.send(keys)

    def signal(self, number: int) -> None:
        """Signal the room alone."""
        os.kill(self.child.pid, number)

    def wait_for_end(self, timeout: float = 5.0) -> int:
        """Its exit code, or minus the signal that ended it; reads on until then."""
        deadline = time.monotonic() + timeout
        while self.child.isalive():
            if self.child.closed or not self.read():
                time.sleep(0.01)
            assert time.monotonic() < deadline, f"it goes on. The screen:\n{self.text}"
        while not self.child.closed and self.read():
            pass
        return int(-self.child.signalstatus if self.child.exitstatus is None else self.child.exitstatus)

    def hang_up(self) -> None:
        """The terminal is closed."""
        self.child.ptyproc.fileobj.close()
        self.child.closed = True

    def processor_seconds(self) -> float:
        """What it has used of the processor."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_stopped(self) -> bool:
        """Whether it is stopped."""
        return (
            Path(f"/proc/{self.child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
            == "T"
        )

    def left_as_found(self) -> bool:
        """Whether the terminal's settings are those from before, and every mode was switched off."""
        on = [mode for mode in MODES if self.raw.rfind(mode + b"h") > self.raw.rfind(mode + b"l")]
        assert not on, f"still on: {on}"
        return bool(termios.tcgetattr(self.child.child_fd) == self.attributes)
