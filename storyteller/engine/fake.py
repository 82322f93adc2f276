"""An engine without a model: it plays a script, the same every time, as fast as it is told to.

For tests of the screens and for demonstrations. It keeps the rules of the real one: one request at a time,
cancelling between tokens, one last event a request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.process.conversation import Conversation
from storyteller.engine.process.failures import failed
from storyteller.engine.process.script import Death, Reply, perform, probe, recorded, score
from storyteller.engine.process.service import STILL_LOADING
from storyteller.engine.protocol import (
    Cancel,
    Done,
    Generate,
    Loading,
    Notice,
    Prepare,
    Probe,
    Ready,
    Score,
    Token,
)
from storyteller.errors import EngineError, StorytellerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from storyteller.engine.process.streams import Asked, Stream
    from storyteller.engine.protocol import GenerateEvent, Load

__all__ = ["READY", "FakeEngine", "Reply"]

_SETTLE = 1000  # turns of the event loop that a reader is given to take in an event

READY = Ready(
    id="",
    model="fake",
    path="/nowhere",
    model_hash="0" * 16,
    device="cpu",
    dtype="float32",
    window=1024,
    parameters=0,
    reason="A script plays the model.",
)


@dataclass(frozen=True, eq=False)
class _Scene:
    """A request that is being played."""

    stream: Stream
    cancel: CancelSignal
    events: Iterator[GenerateEvent]


class FakeEngine(Conversation):
    """An `Engine` that plays `script`, one reply a `Generate`, over and over.

    Args:
        script: replies, or the text of each; without any, a sentence of its own.
        pace: seconds between tokens; 0 streams as fast as the event loop turns, None waits for `step`.
        slow_load: stay in the middle of loading until `finish_loading` or `fail_loading`.
        ready: what is said to be open.
    """

    def __init__(
        self,
        script: Sequence[Reply | str] = (),
        *,
        pace: float | None = 0.0,
        slow_load: bool = False,
        ready: Ready = READY,
    ) -> None:
        super().__init__()
        self.received: list[Load | Asked | Cancel] = []  # every request, in order
        self._script = [Reply(texts=(item,)) if isinstance(item, str) else item for item in script] or [
            Reply()
        ]
        self._pace = pace
        self._slow_load = slow_load
        self._says = ready
        self._load: Load | None = None
        self._ready: Ready | None = None
        self._before: Ready | None = None  # open before the load that is under way
        self._played = 0
        self._waiting: deque[Stream] = deque()
        self._signals: dict[str, CancelSignal] = {}  # of those that wait
        self._scene: _Scene | None = None
        self._pump: asyncio.Task[None] | None = None
        self._may_play = asyncio.Event()
        self._may_play.set()

    @classmethod
    def replay(cls, recording: Path, *, pace: float | None = 0.0) -> FakeEngine:
        """An engine that answers with the generations of a recording: lines as the engine's process writes them.

        Raises:
            OSError: it cannot be read.
            msgspec.MsgspecError: a line is not an event.
        """
        return cls(recorded(recording.read_bytes().splitlines()), pace=pace)

    @property
    def ready(self) -> Ready | None:
        """What is said to be open; None while a model loads."""
        return self._ready

    async def start(self, load: Load) -> None:
        """Begin to load; done at once unless told to be slow."""
        self.received.append(load)
        self._load = load
        self._begin_loading("starting")

    async def close(self) -> None:
        """Stop playing."""
        self._load = self._ready = None
        self._drop_everything(EngineError("It was closed.", title="The engine is closed"))
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})
            self._pump = None

    # The director's side

    def finish_loading(self) -> None:
        """The model is open: what waited is served."""
        if self._load is None:
            raise ValueError("nothing is being loaded")
        self._ready = self._before = msgspec.structs.replace(self._says, id=self._load.id)
        self.streams.tell(Loading(id=self._load.id, stage="ready", fraction=1.0))
        self.streams.tell(self._ready)
        self._play_on()

    def fail_loading(self, error: StorytellerError) -> None:
        """The model cannot be opened: the one before stays, or else what waited fails."""
        if self._load is None:
            raise ValueError("nothing is being loaded")
        self.streams.tell(failed(error, self._load.id))
        self._ready = self._before
        if self._ready is None:
            self._drop_everything(EngineError("Open one first.", title="No model is open"))
        self._play_on()

    async def step(self, tokens: int = 1) -> int:
        """Send so many tokens, with the events before them, and wait until their reader took them in.

        Returns:
            The tokens sent: fewer where the requests end before.
        """
        sent = 0
        while sent < tokens and (event := await self._step_event()) is not None:
            sent += isinstance(event, Token)
        return sent

    async def finish(self) -> None:
        """Play every open request to its end, and wait until its reader took it in."""
        while await self._step_event() is not None:
            pass

    def die(self, message: str = "It was ended by the system: killed.", *, for_good: bool = False) -> None:
        """The engine dies, as the real one's process may; it starts again unless that is for good."""
        error = EngineError(f"{message} Your text is untouched: ask again.")
        self._ready = self._before = None
        told = self._drop_everything(error)
        if for_good or self._load is None:
            self.streams.tell(failed(EngineError(error.message, title="The engine keeps stopping"), None))
            return
        if not told:
            self.streams.tell(Notice(message=str(error)))
        self._begin_loading("starting again")

    def notify(self, message: str) -> None:
        """Send a `Notice` of no request."""
        self.streams.tell(Notice(message=message))

    # What a conversation needs

    def _send(self, request: Asked | Cancel) -> None:
        self.received.append(request)
        if isinstance(request, Cancel):
            self._cancel_waiting(request)
            self._cancel_scene(request)
            return
        if self._load is None:
            raise EngineError("Open one first.", title="No model is open")
        if isinstance(request, Prepare) and self._ready is None:
            raise EngineError("Wait until it is.", title="No model is open yet")
        if self._ready is None:
            self.streams.dispatch(Notice(id=request.id, message=STILL_LOADING))
        stream = self.streams.find(request.id)
        if stream is not None:
            self._waiting.append(stream)
            self._signals[request.id] = CancelSignal()
            self._play_on()

    def _hold_up(self) -> None:
        self._may_play.clear()

    def _let_go(self) -> None:
        self._may_play.set()

    def _cancel_waiting(self, cancel: Cancel) -> None:
        if cancel.id in self._signals:
            self._signals[cancel.id].cancel(cancel.take)
            if cancel.take is None:
                self._waiting = deque(stream for stream in self._waiting if stream.id != cancel.id)
                del self._signals[cancel.id]
                self.streams.dispatch(Done(id=cancel.id, reason="cancelled"))

    def _cancel_scene(self, cancel: Cancel) -> None:
        scene = self._scene
        if scene is None or scene.stream.id != cancel.id:
            return
        scene.cancel.cancel(cancel.take)
        while self._pace is None and scene.cancel.all_cancelled and self._scene is scene:
            self._next_event()  # nobody need step for a cancelled request to end

    def _begin_loading(self, stage: str) -> None:
        if self._load is None:
            return
        self._before = self._ready or self._before
        self._ready = None
        self.streams.tell(Loading(id=self._load.id, stage=stage, fraction=0.0))
        if not self._slow_load:
            self.finish_loading()

    def _drop_everything(self, error: StorytellerError) -> int:
        self._waiting.clear()
        self._signals.clear()
        self._scene = None
        return self.streams.end_all(error)

    # Playing

    def _play_on(self) -> None:
        self._raise_curtain()
        if self._pace is not None and self._scene is not None and (self._pump is None or self._pump.done()):
            self._pump = asyncio.get_running_loop().create_task(self._play_all(), name="fake engine")

    async def _play_all(self) -> None:
        while (event := self._next_event()) is not None:
            await asyncio.sleep((self._pace or 0.0) if isinstance(event, Token) else 0.0)
            await self._may_play.wait()

    async def _step_event(self) -> GenerateEvent | None:
        scene = self._scene
        event = self._next_event()
        for _ in range(_SETTLE):
            await asyncio.sleep(0)
            if scene is None or scene.stream.settled:
                break
        return event

    def _next_event(self) -> GenerateEvent | None:
        """Send the next event of the scene; None where there is nothing to play."""
        while (scene := self._raise_curtain()) is not None:
            try:
                event = next(scene.events)
            except Death:
                self.die()
            except StorytellerError as error:
                self._scene = None
                self.streams.dispatch(failed(error, scene.stream.id))
            else:
                if isinstance(event, Done):
                    self._scene = None
                self.streams.dispatch(event)
                return event
        return None

    def _raise_curtain(self) -> _Scene | None:
        """The scene being played, or the next one; requests that need no scene are answered on the way."""
        while self._scene is None and self._waiting and self._ready is not None:
            stream = self._waiting.popleft()
            signal = self._signals.pop(stream.id)
            match stream.request:
                case Generate() as request:
                    reply = self._script[self._played % len(self._script)]
                    self._played += 1
                    self._scene = _Scene(stream, signal, perform(reply, request, signal))
                case Score() as request:
                    self.streams.dispatch(score(request))
                case Probe() as request:
                    self.streams.dispatch(probe(request))
                case Prepare():
                    self.streams.dispatch(Done(id=stream.id))
        return self._scene
