"""The engine inside this process: the same service in one worker thread, for commands and tests that need no child."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from storyteller.engine.process.conversation import Conversation
from storyteller.engine.process.log import describe, note, open_log
from storyteller.engine.process.offline import go_offline
from storyteller.engine.process.service import CoreLike, Service, Work, private_texts
from storyteller.engine.protocol import Cancel, Prepare, Ready, decode_request, encode
from storyteller.errors import EngineError, UserError
from storyteller.paths import engine_log_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from storyteller.engine.process.streams import Asked
    from storyteller.engine.protocol import Event, Load

_CLOSE_S = 2.0


class LocalEngine(Conversation):
    """An `Engine` whose model lives in this process, in a daemon thread. Used from one event loop.

    Args:
        make_core: what to run instead of the real core.
    """

    def __init__(self, make_core: Callable[[], CoreLike] | None = None) -> None:
        super().__init__()
        self._make_core = make_core or _real_core
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._session: object | None = None  # of this service: what an earlier one still says is not heard
        self._service: Service | None = None
        self._thread: threading.Thread | None = None
        self._ended = asyncio.Event()
        self._may_emit = threading.Event()
        self._may_emit.set()
        self._ready: Ready | None = None

    @property
    def ready(self) -> Ready | None:
        """The model that was opened last; None before the first."""
        return self._ready

    async def start(self, load: Load) -> None:
        """Begin to open a model and return at once."""
        if self._service is None:
            go_offline()
            self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
            self._session = object()
            self._ended = asyncio.Event()
            self._service = Service(self._make_core, partial(self._emit, self._session), _report)
            self._thread = threading.Thread(
                target=self._run, args=(self._service, self._ended), name="engine", daemon=True
            )
            self._thread.start()
        self._service.submit(load)

    async def close(self) -> None:
        """Stop everything and release the model; waits at most 2 seconds for the current token."""
        service, thread = self._service, self._thread
        self._service = self._thread = self._ready = self._session = None
        self.streams.end_all(EngineError("It was closed.", title="The engine is closed"))
        if service is None or thread is None:
            return
        service.stop()
        self._may_emit.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), _CLOSE_S)
            thread.join()

    def _send(self, request: Asked | Cancel) -> None:
        if self._service is None:
            raise EngineError("Open one first.", title="No model is open")
        if isinstance(request, Prepare) and self._ready is None:
            raise EngineError("Wait until it is.", title="No model is open yet")
        try:
            same = decode_request(encode(request))  # the checks that a request to the child's process meets
        except msgspec.MsgspecError as error:
            raise UserError(f"{error}.", title="The engine does not understand the request") from error
        self._service.submit(same)

    def _hold_up(self) -> None:
        self._may_emit.clear()

    def _let_go(self) -> None:
        self._may_emit.set()

    def _run(self, service: Service, ended: asyncio.Event) -> None:
        """The worker thread."""
        try:
            service.run()
        finally:
            self._call_in_loop(ended.set)

    def _emit(self, session: object, event: Event) -> None:
        """Hand an event to the event loop, from the worker thread or, for a request that never ran, from the loop itself."""
        if threading.get_ident() != self._loop_thread:
            self._may_emit.wait()
        self._call_in_loop(partial(self._dispatch, session, event))

    def _call_in_loop(self, call: Callable[[], None]) -> None:
        assert self._loop is not None  # noqa: S101 - set before the thread that calls this
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the event loop is closed: nobody is left to tell
            if self._service is not None:
                self._service.stop()

    def _dispatch(self, session: object, event: Event) -> None:
        if session is not self._session:
            return
        if isinstance(event, Ready):
            self._ready = event
        self.streams.dispatch(event)


def _report(error: BaseException, work: Work | None) -> str:
    """Write a traceback to the engine's log, without the writer's words; return the log's path."""
    log = open_log()
    note(describe(error, private_texts(work)), log)
    os.close(log)
    return str(engine_log_path())


def _real_core() -> CoreLike:
    from storyteller.engine.core import Core

    return Core()
