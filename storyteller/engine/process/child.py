"""A child process that speaks lines, as its parent holds it: started, written to, paused, killed and reaped, all in one event loop.

No thread and no child watcher: the child's end is the end of its stdout, after which it is waited for. On Linux
the engine dies with the thread that started it, so the event loop's thread must be one that lasts.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import storyteller
from storyteller.engine.process.log import open_log
from storyteller.engine.process.wire import LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_GRACE_S = 0.5  # for a child that closed its stdout to end by itself
_POLL_S = 0.002


def engine_command() -> tuple[str, ...]:
    """How the engine's process is started. `-P`: a `random.py` in the writer's folder is not ours to import."""
    return (sys.executable, "-P", "-m", "storyteller.engine.server")


class Child:
    """One run of `command`, in a session of its own, so that the terminal's signals pass it by.

    Args:
        command: the program and its arguments; its stderr is the engine's log.
        on_line: called with this child and each line it writes, without the newline; None for one too long.
        on_end: called once with this child and its return code, after the last line, unless `close` was called.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_line: Callable[[Child, bytes | None], None],
        on_end: Callable[[Child, int], None],
    ) -> None:
        self.started = time.monotonic()
        self._on_line = on_line
        self._on_end = on_end
        self._input: asyncio.WriteTransport | None = None
        self._output: asyncio.ReadTransport | None = None
        log = open_log()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env=child_environment(),
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._life = asyncio.get_running_loop().create_task(self._live(), name="engine process")

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Queue a line for the child; one that is dead or not yet heard from gets nothing."""
        if self._input is not None and not self._input.is_closing():
            self._input.write(line)

    def pause(self) -> None:
        """Read no more, so that the child waits once the pipe is full."""
        if self._output is not None and not self._output.is_closing():
            self._output.pause_reading()

    def resume(self) -> None:
        """Read on after `pause`."""
        if self._output is not None and not self._output.is_closing():
            self._output.resume_reading()

    def kill(self) -> None:
        """End it now; `on_end` follows."""
        self._process.kill()
        self.resume()  # its end is seen at the end of its stdout

    async def close(self, last_line: bytes, patience_s: float) -> None:
        """Send `last_line`, give it `patience_s` to end, then kill it and see it reaped. `on_end` is not called."""
        self._on_line = self._on_end = _ignore
        self.resume()
        if self._input is None:
            self.kill()
        else:
            self.send(last_line)
            self._input.close()
        done, _ = await asyncio.wait({self._life}, timeout=patience_s)
        if not done:
            self.kill()
            await asyncio.wait({self._life}, timeout=1.0)

    async def _live(self) -> None:
        """Attach the pipes, wait for the end, reap."""
        loop = asyncio.get_running_loop()
        process = self._process
        assert process.stdin is not None  # noqa: S101 - both were asked for
        assert process.stdout is not None  # noqa: S101
        lines = _Lines(self)
        try:
            self._input, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
            self._output, _ = await loop.connect_read_pipe(lambda: lines, process.stdout)
            await lines.ended
        except BaseException:  # the event loop goes away under us: leave no orphan and no zombie
            process.kill()
            process.wait()
            raise
        finally:
            for transport in (self._input, self._output):
                if transport is not None:
                    transport.close()
        code = await self._reap()
        self._on_end(self, code)

    async def _reap(self) -> int:
        deadline = time.monotonic() + _GRACE_S
        while (code := self._process.poll()) is None:
            if time.monotonic() > deadline:
                self._process.kill()
            await asyncio.sleep(_POLL_S)
        return code

    def received(self, line: bytes | None) -> None:
        """Pass a line on."""
        self._on_line(self, line)


class _Lines(asyncio.Protocol):
    """The reading end of the child's stdout."""

    def __init__(self, child: Child) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._child = child
        self._splitter = LineSplitter()

    def data_received(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            self._child.received(line)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the end is the end
        if not self.ended.done():
            self.ended.set_result(None)


def _ignore(child: Child, news: bytes | int | None) -> None:
    """What a closing child still says, and how it ends, is of no interest."""


def child_environment() -> dict[str, str]:
    """This process's environment, in which the child finds the same package, run from a checkout or installed."""
    environment = dict(os.environ)
    root = Path(storyteller.__file__).resolve().parents[1]
    if root.name not in {"site-packages", "dist-packages"}:
        rest = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{root}{os.pathsep}{rest}" if rest else str(root)
    return environment
