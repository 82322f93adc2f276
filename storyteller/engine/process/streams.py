"""The open requests of one engine: every event goes to the queue of its request, or to whoever listens to the engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from storyteller.engine.process.failures import error_of
from storyteller.engine.protocol import (
    Done,
    Event,
    Failed,
    Generate,
    Prepare,
    Probe,
    Probed,
    Score,
    Scored,
    StatusEvent,
)
from storyteller.errors import StorytellerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Asked: TypeAlias = Generate | Score | Probe | Prepare
Last: TypeAlias = Done | Scored | Probed | Failed

FULL = 4096  # events waiting to be read, over all requests, at which the engine is held up
DRAINED = FULL // 2


class Stream:
    """The events of one request, in order. `finished` once its last event was received, read or not."""

    def __init__(self, request: Asked, backlog: Backlog) -> None:
        self.request = request
        self.finished = False
        self.discarded = False
        self.cancelled = False
        self._backlog = backlog
        self._events: asyncio.Queue[Event | StorytellerError] = asyncio.Queue()
        self._reading = False

    @property
    def id(self) -> str:
        """The request's."""
        return self.request.id

    @property
    def waiting(self) -> int:
        """Events received and not yet read."""
        return self._events.qsize()

    @property
    def settled(self) -> bool:
        """Whether everything received was read and dealt with: its reader waits for more, or never will."""
        return self.discarded or (self._events.empty() and (self._reading or self.finished))

    def put(self, event: Event | StorytellerError) -> None:
        """Queue `event`; an exception is raised to the reader."""
        if not self.discarded:
            self._events.put_nowait(event)
            self._backlog.grew()

    def discard(self) -> None:
        """Nobody reads this any more: forget what waits and whatever comes."""
        self.discarded = True
        self._backlog.shrank(self._events.qsize())
        while not self._events.empty():
            self._events.get_nowait()

    async def next(self) -> Event:
        """The next event.

        Raises:
            StorytellerError: the request failed, or its engine did.
        """
        self._reading = True
        try:
            event = await self._events.get()
        finally:
            self._reading = False
        self._backlog.shrank(1)
        if isinstance(event, StorytellerError):
            raise event
        if isinstance(event, Failed):
            raise error_of(event)
        return event


class Backlog:
    """Counts events received and not yet read; says once when there are too many, and once when there no longer are."""

    def __init__(self, on_full: Callable[[], None], on_drained: Callable[[], None]) -> None:
        self.full = False
        self._size = 0
        self._on_full = on_full
        self._on_drained = on_drained

    def grew(self) -> None:
        """One more waits."""
        self._size += 1
        if self._size >= FULL and not self.full:
            self.full = True
            self._on_full()

    def shrank(self, by: int) -> None:
        """So many were read or forgotten."""
        self._size -= by
        if self._size <= DRAINED and self.full:
            self.full = False
            self._on_drained()


class Streams:
    """All streams of one engine, by request id. Used from one event loop."""

    def __init__(self, on_full: Callable[[], None], on_drained: Callable[[], None]) -> None:
        self.backlog = Backlog(on_full, on_drained)
        self._open: dict[str, Stream] = {}
        self._listeners: list[Callable[[StatusEvent], None]] = []

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Stream]:
        return iter([*self._open.values()])

    def open(self, request: Asked) -> Stream:
        """A stream for a new request.

        Raises:
            ValueError: a request of this id is still open.
        """
        if request.id in self._open:
            raise ValueError(f"request {request.id!r} is still open")
        stream = self._open[request.id] = Stream(request, self.backlog)
        return stream

    def find(self, request_id: str) -> Stream | None:
        """The open stream of a request."""
        return self._open.get(request_id)

    def forget(self, stream: Stream) -> None:
        """Close a stream whose request was never sent."""
        stream.finished = True
        stream.discard()
        self._open.pop(stream.id, None)

    def listen(self, listener: Callable[[StatusEvent], None]) -> None:
        """Have `listener` called for every status event that is of no request."""
        self._listeners.append(listener)

    def dispatch(self, event: Event) -> None:
        """Pass on one event of the engine. What no open request or listener wants is dropped."""
        stream = self._open.get(getattr(event, "id", None) or "")
        if stream is not None:
            if isinstance(event, Last):
                self._finish(stream)
            stream.put(event)
        elif isinstance(event, StatusEvent):
            self.tell(event)

    def tell(self, event: StatusEvent) -> None:
        """Call every listener; one that raises is reported to the event loop and stops nobody."""
        for listener in [*self._listeners]:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a listener's fault must not cost the stream
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "an engine listener raised", "exception": error}
                )

    def end_all(self, error: StorytellerError) -> int:
        """End every open stream: with `Done` if its cancelling was asked, else by raising `error`; how many raise."""
        told = 0
        for stream in self:
            self._finish(stream)
            if stream.cancelled:
                stream.put(Done(id=stream.id, reason="cancelled"))
            else:
                stream.put(error)
                told += not stream.discarded
        return told

    def _finish(self, stream: Stream) -> None:
        stream.finished = True
        del self._open[stream.id]
