"""The engine in a child process: started when a model is asked for, watched, and started again when it dies.

Whatever happens to the child, the app keeps its text: open requests raise one sentence and the next one works.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from storyteller.engine.process.child import Child, engine_command
from storyteller.engine.process.conversation import Conversation
from storyteller.engine.process.failures import failed
from storyteller.engine.process.restart import RestartPolicy, advice, obituary
from storyteller.engine.process.wire import UNREADABLE
from storyteller.engine.protocol import (
    MAX_LINE,
    VERSION,
    Cancel,
    Done,
    Failed,
    Generate,
    Hello,
    Load,
    Loading,
    Notice,
    Prepare,
    Ready,
    Shutdown,
    decode_event,
    encode,
)
from storyteller.errors import EngineError, UserError
from storyteller.paths import engine_log_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.engine.process.streams import Asked, Stream

CANCEL_DEADLINE_S = 2.0
_SLICES = 4  # of a deadline: a process that was stopped for a while loses one of them, not all
_PATIENCE_S = 0.8  # for a child that was asked to go


@dataclass(frozen=True)
class _Verdict:
    """Why we kill a child, and whether another follows: at once, as after any other death, or never by itself."""

    error: EngineError
    then: Literal["restart", "count", "leave"]


class EngineClient(Conversation):
    """An `Engine` whose model lives in a child process. Used from one event loop, with no thread of its own.

    Args:
        command: what to run instead of the engine's own server; tests bring a scripted one.
        cancel_deadline_s: a generation that has not ended so long after its cancelling costs the child its life;
            longer where the model took longer to open, since a new child would have to open it again.
    """

    def __init__(
        self, *, command: Sequence[str] | None = None, cancel_deadline_s: float = CANCEL_DEADLINE_S
    ) -> None:
        super().__init__()
        self._command = tuple(command or engine_command())
        self._deadline_s = cancel_deadline_s
        self._asked_at = 0.0  # when the model was, and how long it took: what a restart costs
        self._opening_s = 0.0
        self._policy = RestartPolicy()
        self._load: Load | None = None  # what a new child opens
        self._opened: Load | None = None  # the last load that ended in `Ready`
        self._ready: Ready | None = None
        self._child: Child | None = None
        self._greeted = False
        self._waiting: list[Asked | Cancel] = []  # for a child that has not said hello
        self._restart: asyncio.TimerHandle | None = None
        self._verdict: _Verdict | None = None  # why the child is being killed by us

    @property
    def ready(self) -> Ready | None:
        """The model that was opened last; None before the first, and from a death until it is open again."""
        return self._ready

    @property
    def pid(self) -> int | None:
        """The child, while there is one."""
        return None if self._child is None else self._child.pid

    async def start(self, load: Load) -> None:
        """Begin to open a model, in a child that is started for it if need be, and return at once."""
        self._load = load
        self._policy.forget()
        if self._greeted:
            self._asked_at = time.monotonic()
            self._write(load)
            return
        try:
            self._ensure_child()
        except EngineError as error:
            self.streams.tell(failed(error, load.id))

    async def close(self) -> None:
        """Stop everything; waits at most 2 seconds. Open requests raise `EngineError`."""
        self._load = self._opened = None
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        child = self._child
        self._lost_child()
        self.streams.end_all(EngineError("It was closed.", title="The engine is closed"))
        if child is not None:
            await child.close(encode(Shutdown()), _PATIENCE_S)

    # What a conversation needs

    def _send(self, request: Asked | Cancel) -> None:
        if isinstance(request, Prepare) and self._ready is None:
            raise EngineError("Wait until it is.", title="No model is open yet")
        if self._load is None:
            raise EngineError("Open one first.", title="No model is open")
        if isinstance(request, Cancel) and self._unsent(request):
            return
        self._ensure_child()
        self._write(request)

    def _unsent(self, cancel: Cancel) -> bool:
        """Whether the request to be cancelled never left: then it ends here."""
        if cancel.take is None:
            for request in self._waiting:
                if request.id == cancel.id:
                    self._waiting.remove(request)
                    self.streams.dispatch(Done(id=cancel.id, reason="cancelled"))
                    return True
        return False

    def _hold_up(self) -> None:
        if self._child is not None:
            self._child.pause()

    def _let_go(self) -> None:
        if self._child is not None:
            self._child.resume()

    def _cancelling(self, stream: Stream) -> None:
        if isinstance(stream.request, Generate):
            self._watch(stream, max(self._deadline_s, self._opening_s) / _SLICES, _SLICES)

    def _watch(self, stream: Stream, slice_s: float, slices: int) -> None:
        """Kill the child if `stream` does not end in so many slices of time, those not counted in which we did not read."""
        if stream.finished:
            return
        if slices == 0:
            error = EngineError(
                "It did not stop when asked and was started again.", title="The engine was stuck"
            )
            self._kill(_Verdict(error, "restart"))
            return
        left = slices if self.streams.backlog.full else slices - 1
        asyncio.get_running_loop().call_later(slice_s, self._watch, stream, slice_s, left)

    def _write(self, request: Asked | Cancel | Load) -> None:
        line = encode(request)
        if len(line) > MAX_LINE:
            raise UserError("Ask about a shorter part of it.", title="The text is too long for one request")
        if self._greeted and self._child is not None:
            self._child.send(line)
        elif not isinstance(request, Load):  # the hello is answered with the load itself
            self._waiting.append(request)

    # The child's life

    def _ensure_child(self) -> None:
        if self._child is None and self._restart is None:
            self._spawn()

    def _spawn(self) -> None:
        self._asked_at = time.monotonic()
        try:
            self._child = Child(self._command, self._received, self._ended)
        except OSError as error:
            raise EngineError(
                f"{self._command[0]} does not run ({error.strerror}); reinstall storyteller.",
                title="The engine cannot be started",
            ) from error

    def _received(self, child: Child, line: bytes | None) -> None:
        if child is not self._child:
            return
        try:
            event = decode_event(line or b"")
        except UNREADABLE:
            error = EngineError(
                "It said something that makes no sense; ask again.", title="The engine is confused"
            )
            self._kill(_Verdict(error, "count"))
            return
        match event:
            case Hello():
                self._greet(child, event)
                return
            case Ready():
                self._ready = event
                if self._load is not None and self._load.id == event.id:
                    self._opened = self._load
                    self._opening_s = time.monotonic() - self._asked_at
            case Failed() if self._load is not None and self._load.id == event.id:
                self._load = self._opened or self._load
        self.streams.dispatch(event)

    def _greet(self, child: Child, hello: Hello) -> None:
        """Send all that waited for the child, the model first."""
        if hello.version != VERSION:
            error = EngineError(
                f"It speaks version {hello.version} of the protocol and not {VERSION}: "
                "storyteller was changed while it ran; quit and start it again.",
                title="The engine is of another version",
            )
            self._kill(_Verdict(error, "leave"))
            return
        if self._load is None or self._greeted:
            return
        self._greeted = True
        for request in (self._load, *self._waiting):
            child.send(encode(request))
        self._waiting.clear()

    def _kill(self, verdict: _Verdict) -> None:
        if self._child is not None and self._verdict is None:
            self._verdict = verdict
            self._child.kill()

    def _lost_child(self) -> None:
        self._child = self._ready = self._verdict = None
        self._greeted = False
        self._waiting.clear()

    def _ended(self, child: Child, code: int) -> None:
        """The child is dead and reaped: tell whoever waited, and start another unless there is no sense in it."""
        if child is not self._child or self._load is None:
            return
        verdict = self._verdict or _Verdict(EngineError(f"{obituary(code)} {advice(code)}"), "count")
        # Opening is no life: a model too large for the machine may take minutes to end it, again and again.
        lived_s = time.monotonic() - child.started if self._ready is not None else 0.0
        self._lost_child()
        told = self.streams.end_all(verdict.error)
        delay = 0.0 if verdict.then == "restart" else self._policy.died(lived_s)
        if verdict.then == "leave":
            self.streams.tell(failed(verdict.error, None))
        elif delay is None:
            self.streams.tell(
                Failed(
                    title="The engine keeps stopping",
                    message=f"{verdict.error.message} It is left alone until you do; {engine_log_path()} may say why.",
                )
            )
        else:
            if not told:
                self.streams.tell(Notice(message=str(verdict.error)))
            self.streams.tell(Loading(id=self._load.id, stage="starting again", fraction=0.0))
            self._restart = asyncio.get_running_loop().call_later(delay, self._start_again)

    def _start_again(self) -> None:
        self._restart = None
        try:
            self._spawn()
        except EngineError as error:
            self._waiting.clear()
            self.streams.end_all(error)
            self.streams.tell(failed(error, None))
