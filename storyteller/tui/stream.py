"""Drives the engine for one screen: events come in token by token, messages go out at most 30 times a second.

No widgets here. A screen gives `post` (its `post_message`) and decides on the messages, which are past tense.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.message import Message

from storyteller.engine.protocol import Began, Done, Notice, Rewound, TakeDone, Token
from storyteller.errors import StorytellerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from storyteller.engine.port import Engine
    from storyteller.engine.protocol import Generate, GenerateEvent

UPDATES_PER_SECOND: Final = 30
_RATE_WINDOW_S: Final = 2.0
_log = logging.getLogger(__name__)


@dataclass
class OfferBegan(Message):
    """The engine took the request: what the model really sees."""

    began: Began


@dataclass
class OfferGrew(Message):
    """A take has `text` more; `rate` is tokens a second over all takes of the request, lately."""

    generation: str
    take: int
    text: str
    rate: float


@dataclass
class OfferRewound(Message):
    """A take loses the last `characters` it had."""

    generation: str
    take: int
    characters: int
    reason: str


@dataclass
class OfferEnded(Message):
    """A take is complete; `done.text` is all of it."""

    done: TakeDone


@dataclass
class OfferRemarked(Message):
    """The engine has one sentence for the writer."""

    generation: str
    message: str


@dataclass
class OfferFailed(Message):
    """The request failed; nothing more comes of it. The next one works again."""

    generation: str
    title: str
    message: str


@dataclass
class StreamEnded(Message):
    """Nothing more comes for this request."""

    generation: str
    cancelled: bool


class TokenRate:
    """Tokens a second over the last two seconds, of all takes together."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[int, deque[float]] = {}  # by take: tokens of several come in one burst

    def count(self, take: int = 0) -> None:
        """A token of `take` came now."""
        now = self._clock()
        times = self._times.setdefault(take, deque())
        times.append(now)
        while now - times[0] > _RATE_WINDOW_S:
            times.popleft()

    def ended(self, take: int) -> None:
        """No more of `take` comes; what is known of the last one stays to be shown."""
        if len(self._times) > 1:
            self._times.pop(take, None)

    @property
    def value(self) -> float:
        """Tokens a second; 0 until two of a take came."""
        return sum(
            (len(times) - 1) / max(times[-1] - times[0], 1e-6)
            for times in self._times.values()
            if len(times) > 1
        )


class Stream:
    """One request on its way to the screen."""

    def __init__(
        self,
        engine: Engine,
        request: Generate,
        post: Callable[[Message], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request = request
        self._engine = engine
        self._post = post
        self._clock = clock
        self._pending: dict[int, list[str]] = {}
        self._rate = TokenRate(clock)
        self._flushed_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the request until it ends. What the engine does wrong becomes `OfferFailed`, never an exception."""
        cancelled = True
        try:
            async for event in self._engine.generate(self.request):
                self._take(event)
                if isinstance(event, Done):
                    cancelled = event.reason == "cancelled"
        except StorytellerError as error:
            _log.warning("request %s failed: %s", self.request.id, error.title)
            self._flush()
            self._post(OfferFailed(self.request.id, error.title, error.message))
        finally:
            self._flush()
            self._post(StreamEnded(self.request.id, cancelled))

    async def cancel(self, take: int | None = None) -> None:
        """End the request, or one take of it, within one token; its events still come to their end."""
        await self._engine.cancel(self.request.id, take)

    def _take(self, event: GenerateEvent) -> None:
        match event:
            case Token():
                self._rate.count(event.take)
                if event.text:
                    self._pending.setdefault(event.take, []).append(event.text)
                    self._flush_soon()
            case Began():
                self._post(OfferBegan(event))
            case Rewound():
                self._flush()
                self._post(OfferRewound(event.id, event.take, event.characters, event.reason))
            case TakeDone():
                self._flush()
                self._rate.ended(event.take)
                self._post(OfferEnded(event))
            case Notice():
                self._post(OfferRemarked(self.request.id, event.message))

    def _flush_soon(self) -> None:
        wait = self._flushed_at + 1 / UPDATES_PER_SECOND - self._clock()
        if wait <= 0:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, {}
        for take, texts in pending.items():
            self._post(OfferGrew(self.request.id, take, "".join(texts), self._rate.value))
            self._flushed_at = self._clock()
