"""The engine's process: `python -m storyteller.engine.server`, requests on stdin, events on stdout, one JSON object a line.

The end of stdin means that the app is gone: the process ends at once, whatever it is doing.
"""

from __future__ import annotations

import faulthandler
import os
import threading
from typing import TYPE_CHECKING, NoReturn

import msgspec

from storyteller.engine.process import confinement
from storyteller.engine.process.log import describe, note
from storyteller.engine.process.offline import go_offline
from storyteller.engine.process.service import CoreLike, Service, Work, private_texts
from storyteller.engine.process.wire import UNREADABLE, LineSplitter, write_all
from storyteller.engine.protocol import MAX_LINE, Event, Failed, Hello, Shutdown, decode_request, encode
from storyteller.paths import engine_log_path

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 16


def main() -> NoReturn:
    """Serve the real core."""
    serve(_real_core)


def serve(make_core: Callable[[], CoreLike]) -> NoReturn:
    """Take over this process: say hello, then serve requests from stdin until it ends.

    `make_core` is called after the hello, in this thread, which from then on runs the model alone; a
    second thread reads stdin. stdout and stderr become the log.
    """
    go_offline()
    requests, events = confinement.take_pipes()
    confinement.leave_signals_to_the_app()
    confinement.die_with_parent()
    confinement.die_first()
    faulthandler.enable()
    writer = EventWriter(events)
    writer.write(Hello(pid=os.getpid()))
    note("engine started")
    service = Service(make_core, writer.write, _report)
    threading.Thread(target=_read, args=(requests, service, writer), name="requests", daemon=True).start()
    try:
        service.run()
    except BaseException as error:  # noqa: BLE001 - the process ends here, and only the log can say why
        note(describe(error))
        _leave(1)
    _leave(0)


class EventWriter:
    """Writes events to a pipe, whole lines, from any thread. A reader that is slow is waited for; one that is gone ends the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, event: Event) -> None:
        """Send one event; an answer longer than a line may be becomes `Failed`."""
        line = encode(event)
        if len(line) > MAX_LINE:
            line = encode(
                Failed(
                    id=getattr(event, "id", None),
                    title="The answer is too long",
                    message="It does not fit one line of the protocol; ask about a shorter text.",
                    exit_code=2,
                )
            )
        try:
            with self._lock:
                write_all(self._descriptor, line)
        except OSError:
            _leave(0)


def _read(descriptor: int, service: Service, writer: EventWriter) -> NoReturn:
    """Pass on what stdin says, and end the process when it says no more."""
    try:
        splitter = LineSplitter()
        while chunk := os.read(descriptor, _CHUNK):
            for line in splitter.feed(chunk):
                _receive(line, service, writer)
    except BaseException as error:  # noqa: BLE001 - an engine that no longer listens must not live on
        note(describe(error))
        _leave(1)
    _leave(0)


def _receive(line: bytes | None, service: Service, writer: EventWriter) -> None:
    if line is None:
        writer.write(_refusal(None, f"A line longer than {MAX_LINE} bytes."))
        return
    try:
        request = decode_request(line)
    except UNREADABLE as error:
        writer.write(_refusal(_id_in(line), f"{error}."))
        return
    if isinstance(request, Shutdown):
        _leave(0)
    service.submit(request)


def _refusal(request_id: str | None, why: str) -> Failed:
    return Failed(
        id=request_id, title="The engine was asked something it does not understand", message=why, exit_code=2
    )


class _Named(msgspec.Struct):
    id: str | None = None


def _id_in(line: bytes) -> str | None:
    """The id of a request that is otherwise unusable, so that whoever waits for it is told."""
    try:
        return msgspec.json.decode(line, type=_Named).id
    except UNREADABLE:
        return None


def _report(error: BaseException, work: Work | None) -> str:
    """Write a traceback to the log, without the writer's words; return the log's path."""
    served = "starting" if work is None else type(work).__name__.lower()
    note(f"unexpected error while {served}\n{describe(error, private_texts(work))}")
    return str(engine_log_path())


def _leave(code: int) -> NoReturn:
    """End now: no interpreter shutdown, which would wait for a decode and tear down the model piece by piece."""
    os._exit(code)


def _real_core() -> CoreLike:
    from storyteller.engine.core import Core

    return Core()


if __name__ == "__main__":
    main()
