"""The client with the real server and the starter model: what a writer's first minutes do, and a kill in the middle."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.client import EngineClient
from storyteller.engine.local import LocalEngine
from storyteller.engine.protocol import (
    Context,
    Done,
    Generate,
    Load,
    Prepare,
    Probe,
    Ready,
    Score,
    TakeDone,
    Token,
)
from storyteller.engine.settings import StopRules
from storyteller.errors import EngineError, UserError
from tests.stubs.engine_client import Heard, all_of

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.port import Engine
    from storyteller.engine.protocol import GenerateEvent

pytestmark = pytest.mark.slow

OPENING = Context(text="It was a dark and stormy night, and")


def ask(name: str, tokens: int = 8, takes: int = 1) -> Generate:
    return Generate(id=name, context=OPENING, stop=StopRules(max_tokens=tokens), seed=7, takes=takes)


def written(events: list[GenerateEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, TakeDone)]


async def opened(engine: Engine, model: Path) -> Ready:
    heard = Heard(engine)
    await engine.start(Load(id="load", model=str(model), device="cpu", dtype="float32", threads=1))
    return await heard.next(Ready)


async def test_the_child_and_this_process_write_the_same(starter_model: Path) -> None:
    there, here = EngineClient(), LocalEngine()
    assert await opened(there, starter_model) == await opened(here, starter_model)
    await there.prepare(Prepare(id="p", context=OPENING))
    texts = [written(await all_of(engine, ask("g", takes=2))) for engine in (there, here, there)]
    assert texts[0] == texts[1] == texts[2]
    assert len(texts[0]) == 2
    assert all(texts[0])
    assert await there.score(Score(id="s", text="a king")) == await here.score(Score(id="s", text="a king"))
    assert await there.probe(Probe(id="q", context=OPENING)) == await here.probe(
        Probe(id="q", context=OPENING)
    )
    with pytest.raises(UserError):
        await all_of(there, ask("g", takes=1000))
    await there.close()
    await here.close()


async def test_cancel_and_kill_in_mid_stream_and_the_next_request_works(starter_model: Path) -> None:
    engine = EngineClient()
    await opened(engine, starter_model)
    whole = written(await all_of(engine, ask("whole")))
    found: list[GenerateEvent] = []
    async for event in engine.generate(ask("cancelled", tokens=400)):
        found.append(event)
        if isinstance(event, Token):
            await engine.cancel("cancelled")
    assert isinstance(found[-1], Done)
    assert found[-1].reason == "cancelled"
    assert len(found) < 100
    with pytest.raises(EngineError, match="Your text is untouched"):  # noqa: PT012 - killed when it streams
        async for event in engine.generate(ask("killed", tokens=400)):
            if isinstance(event, Token) and engine.pid is not None:
                os.kill(engine.pid, signal.SIGKILL)
    assert written(await all_of(engine, ask("after"))) == whole
    await engine.close()
