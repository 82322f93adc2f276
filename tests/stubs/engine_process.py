"""An engine's process on bare pipes, for tests of the protocol itself."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TypeVar

from storyteller.engine.protocol import (
    Done,
    Event,
    Failed,
    Probed,
    Request,
    Scored,
    decode_event,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FAKE_ENGINE = (sys.executable, "-m", "tests.stubs.fake_engine_main")
REAL_ENGINE = (sys.executable, "-m", "storyteller.engine.server")

Kind = TypeVar("Kind")


class EngineProcess:
    """Writes requests, reads events."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.input: IO[bytes] = process.stdin
        self.output: IO[bytes] = process.stdout

    def send(self, *requests: Request) -> None:
        self.send_bytes(b"".join(map(encode, requests)))

    def send_bytes(self, data: bytes) -> None:
        self.input.write(data)
        self.input.flush()

    def next(self) -> Event:
        line = self.output.readline()
        assert line, f"the engine ended: {self.process.wait(10)}"
        return decode_event(line)

    def until(self, kind: type[Kind], request_id: str | None = None) -> tuple[Kind, list[Event]]:
        """The next event of `kind` (and of a request), after the events that came before it."""
        before: list[Event] = []
        while True:
            event = self.next()
            if isinstance(event, kind) and request_id in {None, getattr(event, "id", None)}:
                return event, before
            before.append(event)

    def last_events(self, *request_ids: str) -> dict[str, Event]:
        """The last event of each of these requests, in whatever order they come."""
        ends: dict[str, Event] = {}
        while len(ends) < len(request_ids):
            event = self.next()
            if isinstance(event, Done | Scored | Probed | Failed) and event.id in request_ids:
                ends[event.id] = event
        return ends


@contextmanager
def engine_process(command: Sequence[str] = FAKE_ENGINE) -> Iterator[EngineProcess]:
    """A running engine, killed at the end if it is still there."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield EngineProcess(process)
        finally:
            process.kill()
