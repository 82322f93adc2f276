"""The half of an engine that is the same wherever its model runs: requests out, each answered by its own stream of events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

from storyteller.engine.process.streams import Streams
from storyteller.engine.protocol import (
    Began,
    Cancel,
    Done,
    Generate,
    Notice,
    Prepare,
    Probe,
    Probed,
    Rewound,
    Score,
    Scored,
    TakeDone,
    Token,
)
from storyteller.errors import StorytellerError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from storyteller.engine.process.streams import Asked, Stream
    from storyteller.engine.protocol import GenerateEvent, StatusEvent

Answer = TypeVar("Answer", Scored, Probed)


class Conversation(ABC):
    """Streams and answers over `_send` and `self.streams.dispatch`; a subclass brings the engine.

    Used from one event loop.
    """

    def __init__(self) -> None:
        self.streams = Streams(self._hold_up, self._let_go)

    @abstractmethod
    def _send(self, request: Asked | Cancel) -> None:
        """Hand `request` to the engine.

        Raises:
            StorytellerError: it cannot be served.
        """

    @abstractmethod
    def _hold_up(self) -> None:
        """Too many events wait to be read: slow the engine down."""

    @abstractmethod
    def _let_go(self) -> None:
        """They were read: the engine may go on."""

    def _cancelling(self, stream: Stream) -> None:  # noqa: B027 - nothing more to do, for most
        """The whole request of `stream` was asked to end."""

    def listen(self, listener: Callable[[StatusEvent], None]) -> None:
        """Call `listener` in the event loop for every `Loading`, `Ready`, `Notice` and `Failed` without a request."""
        self.streams.listen(listener)

    async def generate(self, request: Generate) -> AsyncGenerator[GenerateEvent, None]:
        """The events of one request, ending with `Done`. Closing the iterator early cancels the request.

        Raises:
            EngineError: the engine failed or died; the next request works again.
            UserError: the request cannot be served as it is.
            ValueError: a request of this id is still open.
        """
        stream = self._ask(request)
        try:
            while True:
                event = await stream.next()
                if isinstance(event, Token | Began | Rewound | TakeDone | Notice):
                    yield event
                elif isinstance(event, Done):
                    yield event
                    return
        finally:
            self._leave(stream)

    async def score(self, request: Score) -> Scored:
        """Log-probabilities of a text. Raises as `generate`."""
        return await self._answer(request, Scored)

    async def probe(self, request: Probe) -> Probed:
        """The most likely next tokens. Raises as `generate`."""
        return await self._answer(request, Probed)

    async def prepare(self, request: Prepare) -> None:
        """Prefill ahead of time; returns at once and never raises for the engine's sake."""
        try:
            stream = self._ask(request)
        except StorytellerError:
            return
        stream.discard()

    async def cancel(self, request_id: str, take: int | None = None) -> None:
        """End a request, or one take of it, within one token. Unknown ids are ignored."""
        stream = self.streams.find(request_id)
        if stream is not None:
            self._cancel(stream, take)

    def _ask(self, request: Asked) -> Stream:
        stream = self.streams.open(request)
        try:
            self._send(request)
        except BaseException:
            self.streams.forget(stream)
            raise
        return stream

    async def _answer(self, request: Score | Probe, kind: type[Answer]) -> Answer:
        stream = self._ask(request)
        try:
            while not isinstance(event := await stream.next(), kind):
                if isinstance(event, Notice):
                    self.streams.tell(event)
            return event
        finally:
            self._leave(stream)

    def _leave(self, stream: Stream) -> None:
        """Whoever read `stream` does so no more."""
        stream.discard()
        if not stream.finished:
            self._cancel(stream, None)

    def _cancel(self, stream: Stream, take: int | None) -> None:
        try:
            self._send(Cancel(id=stream.id, take=take))
        except StorytellerError:
            return
        if take is None and not stream.cancelled:
            stream.cancelled = True
            self._cancelling(stream)
