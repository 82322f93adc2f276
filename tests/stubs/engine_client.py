"""A client with a real child round the scripted core, and what its tests ask again and again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from storyteller.engine.client import EngineClient
from storyteller.engine.protocol import Context, Generate, Load, Ready, StatusEvent
from tests.stubs.engine_process import FAKE_ENGINE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from storyteller.engine.port import Engine
    from storyteller.engine.protocol import GenerateEvent

Kind = TypeVar("Kind")


class Heard:
    """What a listener of an engine was told, in order, and a way to wait for the next of a kind."""

    def __init__(self, engine: Engine) -> None:
        self.events: list[StatusEvent] = []
        self._new = asyncio.Event()
        self._read = 0
        engine.listen(self._hear)

    def _hear(self, event: StatusEvent) -> None:
        self.events.append(event)
        self._new.set()

    async def next(self, kind: type[Kind]) -> Kind:
        """The next event of this kind that was not returned, or passed over, before."""
        while True:
            while self._read < len(self.events):
                event = self.events[self._read]
                self._read += 1
                if isinstance(event, kind):
                    return event
            self._new.clear()
            await self._new.wait()


def order(request_id: str = "g", note: str = "", takes: int = 1, text: str = "") -> Generate:
    """A request for the scripted core, whose orders are in `note`."""
    return Generate(id=request_id, context=Context(text=text, note=note), takes=takes)


async def all_of(engine: Engine, request: Generate) -> list[GenerateEvent]:
    """Every event of a request."""
    return [event async for event in engine.generate(request)]


@asynccontextmanager
async def fake_client(
    model: str = "fake", *, command: Sequence[str] = FAKE_ENGINE, cancel_deadline_s: float = 2.0
) -> AsyncIterator[tuple[EngineClient, Heard]]:
    """A client with a model open, closed at the end."""
    engine = EngineClient(command=command, cancel_deadline_s=cancel_deadline_s)
    heard = Heard(engine)
    try:
        await engine.start(Load(id="load", model=model))
        await heard.next(Ready)
        yield engine, heard
    finally:
        await engine.close()


async def until(condition: Callable[[], bool]) -> None:
    """Turn the event loop until `condition` holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0)


async def rest_of(events: AsyncGenerator[GenerateEvent, None]) -> list[GenerateEvent]:
    """What else comes."""
    return [event async for event in events]
