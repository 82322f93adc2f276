"""The engine inside this process: the same answers as from a child, one thread, and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.local import LocalEngine
from storyteller.engine.process.streams import FULL
from storyteller.engine.protocol import (
    Context,
    Done,
    Failed,
    Generate,
    Load,
    Notice,
    Prepare,
    Probe,
    Ready,
    Score,
    TakeDone,
    Token,
)
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import EngineError, UserError
from storyteller.paths import engine_log_path
from tests.stubs.engine_client import Heard, all_of, fake_client, order, rest_of, until
from tests.stubs.fake_core import FakeCore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from storyteller.engine.port import Engine


@asynccontextmanager
async def local(model: str = "fake") -> AsyncIterator[tuple[LocalEngine, Heard]]:
    engine = LocalEngine(FakeCore)
    heard = Heard(engine)
    try:
        await engine.start(Load(id="load", model=model))
        await heard.next(Ready)
        yield engine, heard
    finally:
        await engine.close()


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "engine"]


async def test_the_same_events_come_from_this_process_and_from_a_child() -> None:
    async with local() as (here, heard_here), fake_client() as (there, heard_there):
        one: Engine = here
        for request in (order("a"), order("b", "tokens:7", takes=3), Generate(id="c", ids=(1, 2))):
            assert await all_of(one, request) == await all_of(there, request)
        assert await here.score(Score(id="s", text="a \ud800")) == await there.score(
            Score(id="s", text="a \ud800")
        )
        assert await here.probe(Probe(id="p")) == await there.probe(Probe(id="p"))
        assert heard_here.events == heard_there.events
        assert here.ready == there.ready
        assert len(engine_threads()) == 1


async def test_refusals_are_the_same_as_from_a_child() -> None:
    async with local() as (here, _), fake_client() as (there, _):
        wrong = (
            order("g", "refuse"),
            order("g", "fail"),
            order("g", "endless"),
            order("g", "stumble", text="secret words"),
            Generate(id="g", settings=SamplerSettings(temperature=-1.0)),
        )
        for request in wrong:
            with pytest.raises((UserError, EngineError)) as from_here:
                await all_of(here, request)
            with pytest.raises((UserError, EngineError)) as from_there:
                await all_of(there, request)
            assert type(from_here.value) is type(from_there.value)
            assert from_here.value.message == from_there.value.message
        assert "secret words" not in engine_log_path().read_text()
        assert "RuntimeError" in engine_log_path().read_text()


async def test_cancel_one_take_then_all() -> None:
    async with local() as (engine, _):
        ends: list[TakeDone] = []
        async for event in engine.generate(order("g", "tokens:100000 every:0.001", takes=2)):
            if isinstance(event, Token) and event.token == 0:
                await engine.cancel("g", take=0)
            if isinstance(event, TakeDone):
                ends.append(event)
                await engine.cancel("g")
        assert [(end.take, end.finish) for end in ends] == [(0, "cancelled"), (1, "cancelled")]


async def test_requests_before_and_while_loading(tmp_path: Path) -> None:
    engine = LocalEngine(FakeCore)
    heard = Heard(engine)
    with pytest.raises(EngineError, match="No model is open"):
        await all_of(engine, order())
    gate = tmp_path / "gate"
    await engine.start(Load(id="load", model=f"hold:{gate}"))
    await engine.prepare(Prepare(id="p"))
    async with aclosing(engine.generate(order())) as events:
        assert isinstance(await anext(events), Notice)
        gate.touch()
        assert isinstance((await rest_of(events))[-1], Done)
    await engine.prepare(Prepare(id="p", context=Context(note="long")))
    assert isinstance((await all_of(engine, order()))[-1], Done)
    await engine.start(Load(id="bad", model="missing"))
    assert (await heard.next(Failed)).id == "bad"
    await engine.close()


async def test_a_core_that_cannot_be_made_is_told() -> None:
    def make() -> FakeCore:
        raise ImportError("no such library")

    engine = LocalEngine(make)
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    assert "libraries" in (await heard.next(Failed)).message
    await engine.close()


async def test_a_slow_reader_holds_the_engine_up() -> None:
    count = 3 * FULL
    async with local() as (engine, _), aclosing(engine.generate(order("g", f"tokens:{count}"))) as events:
        await anext(events)
        await until(lambda: engine.streams.backlog.full)
        before = time.monotonic()
        await until(lambda: time.monotonic() - before > 0.1)
        stream = engine.streams.find("g")
        assert stream is not None
        assert FULL <= stream.waiting < 2 * FULL
        assert [event.token async for event in events if isinstance(event, Token)] == list(range(count))


async def test_close_ends_the_thread_and_its_requests() -> None:
    async with local() as (engine, _):
        events = engine.generate(order("g", "tokens:1000000"))
        await anext(events)
        await engine.close()
        with pytest.raises(EngineError, match="closed"):
            await rest_of(events)
        assert engine_threads() == []


async def test_close_does_not_wait_for_a_wedged_core_and_hears_it_no_more(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with local() as (engine, heard):
        events = engine.generate(order("g", f"deaf hold:{gate}"))
        while not isinstance(await anext(events), Token):
            pass
        before = time.monotonic()
        await engine.close()
        assert time.monotonic() - before < 2.5
        with pytest.raises(EngineError, match="closed"):
            await rest_of(events)
        await engine.start(Load(id="again"))
        await heard.next(Ready)
        asked = asyncio.create_task(all_of(engine, order("g", f"hold:{gate}")))
        gate.touch()
        positions = [event.token for event in await asked if isinstance(event, Token)]
        assert positions == list(range(5))
    await until(lambda: engine_threads() == [])
