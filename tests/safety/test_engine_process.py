"""The engine's process under faults: signals, broken models, cancel storms, adapters in mid-stream, its log."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.client import EngineClient
from storyteller.engine.local import LocalEngine
from storyteller.engine.protocol import (
    AdapterWeight,
    Began,
    Context,
    Done,
    Failed,
    Generate,
    Load,
    Probe,
    Ready,
    Score,
    TakeDone,
    Token,
)
from storyteller.engine.settings import StopRules
from storyteller.errors import EngineError
from storyteller.paths import engine_log_path, state_dir
from tests.stubs.engine_client import Heard, all_of, fake_client, order, until
from tests.stubs.engine_process import FAKE_ENGINE
from tests.stubs.fake_core import FakeCore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storyteller.engine.protocol import GenerateEvent

SECRET = "Nobody but me shall ever read that the gardener buried it."


# safety 28


async def test_safety_28_a_storm_of_ctrl_c_does_not_touch_a_stream() -> None:
    async with fake_client() as (engine, _):
        positions: list[int] = []
        assert engine.pid is not None
        async for event in engine.generate(order("g", "tokens:200 every:0.0005")):
            os.kill(engine.pid, signal.SIGINT)
            if isinstance(event, Token):
                positions.append(event.token)
        assert positions == list(range(200))


async def test_safety_28_nor_one_while_a_model_loads(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    engine = EngineClient(command=FAKE_ENGINE)
    heard = Heard(engine)
    await engine.start(Load(id="load", model=f"hold:{gate}"))
    while getattr(await heard.next(object), "stage", "") != "reading weights":
        pass
    assert engine.pid is not None
    for _ in range(100):
        os.kill(engine.pid, signal.SIGINT)
    gate.touch()
    assert (await heard.next(Ready)).id == "load"
    assert isinstance((await all_of(engine, order()))[-1], Done)
    await engine.close()


# safety 36


def _missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [_missing, _empty, _truncated, _no_config])
async def test_safety_36_a_broken_model_is_told_with_its_path_and_the_engine_lives(
    damage: Callable[[Path], None], starter_model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(starter_model, broken)
    damage(broken)
    engine = EngineClient()
    heard = Heard(engine)
    await engine.start(Load(id="broken", model=str(broken), device="cpu"))
    failure = await heard.next(Failed)
    assert (failure.id, failure.exit_code) == ("broken", 2)
    assert str(broken) in failure.message
    pid = engine.pid
    await engine.start(Load(id="whole", model=str(starter_model), device="cpu"))
    assert (await heard.next(Ready)).id == "whole"
    assert engine.pid == pid
    await engine.close()


# safety 39


@pytest.mark.parametrize("kind", ["child", "local"])
async def test_safety_39_a_hundred_rapid_requests_and_cancels_leave_nothing(kind: str) -> None:
    threads, tasks = threading.enumerate(), asyncio.all_tasks()
    engine = EngineClient(command=FAKE_ENGINE) if kind == "child" else LocalEngine(FakeCore)
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    await heard.next(Ready)
    running = asyncio.all_tasks(), threading.enumerate()
    for number in range(100):
        name = f"g{number % 3}"  # ids come again, and what comes must be of this request
        how = ("cancel", "leave", "cancel", "read")[number % 4]
        length = 3 if how == "read" else 1_000_000
        request = order(name, f"tokens:{length}", takes=1 + number % 4, text=str(number))
        seen: list[GenerateEvent] = []
        async with aclosing(engine.generate(request)) as events:
            async for event in events:
                seen.append(event)
                if len(seen) == number % 7 + 1 and how == "cancel":
                    await engine.cancel(name)
                if len(seen) == number % 7 + 1 and how == "leave":
                    break
        assert isinstance(seen[0], Began)
        assert seen[0].prompt == str(number)
        assert {event.id for event in seen} == {name}
        assert len([event for event in seen if isinstance(event, Began)]) == 1
        assert how == "leave" or isinstance(seen[-1], Done)
        await until(lambda: len(engine.streams) == 0)
    assert len(engine.streams) == 0
    assert (asyncio.all_tasks(), threading.enumerate()) == running
    last = await all_of(engine, order("last", text="last"))
    assert isinstance(last[0], Began)
    assert isinstance(last[-1], Done)
    await engine.close()
    assert asyncio.all_tasks() == tasks
    assert threading.enumerate() == threads


@pytest.mark.parametrize("moment", ["before hello", "loading", "waiting", "first token", "last token"])
async def test_safety_39_cancel_at_every_stage(moment: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    engine = EngineClient(command=FAKE_ENGINE)
    heard = Heard(engine)
    await engine.start(Load(id="load", model=f"hold:{gate}"))
    if moment != "before hello":
        while getattr(await heard.next(object), "stage", "") != "reading weights":
            pass
    if moment not in {"before hello", "loading"}:
        gate.touch()
        await heard.next(Ready)
    blocker = engine.generate(order("blocker", f"hold:{tmp_path / 'never'}"))
    if moment == "waiting":
        await anext(blocker)
    count = {"first token": 1, "last token": 5}.get(moment, 0)

    async def ask() -> list[GenerateEvent]:
        found: list[GenerateEvent] = []
        async for event in engine.generate(order("g", "tokens:5")):
            found.append(event)
            if count and len([event for event in found if isinstance(event, Token)]) == count:
                await engine.cancel("g")
        return found

    asked = asyncio.create_task(ask())
    if not count:
        await asyncio.sleep(0)
        await engine.cancel("g")
    found = await asked
    assert isinstance(found[-1], Done)
    assert moment in {"first token", "last token"} or found[-1].reason == "cancelled"
    await blocker.aclose()
    gate.touch()
    assert isinstance((await all_of(engine, order("h")))[-1], Done)
    await engine.close()


# safety 40


async def test_safety_40_adapters_and_models_never_change_under_a_stream() -> None:
    async with fake_client("first") as (engine, heard):

        def mixed(name: str, adapter: str, weight: float) -> Generate:
            weights = (AdapterWeight(adapter, weight),)
            return Generate(id=name, context=Context(note="tokens:50 every:0.001"), adapters=weights)

        order_of_events: list[str] = []

        async def read(request: Generate) -> set[str]:
            made_with: set[str] = set()
            async for event in engine.generate(request):
                order_of_events.append(request.id)
                if isinstance(event, Token):
                    made_with.add(event.text.split(" ", 3)[3])
            return made_with

        one = asyncio.create_task(read(mixed("one", "noir", 1.0)))
        await until(lambda: "one" in order_of_events)
        two = asyncio.create_task(read(mixed("two", "gothic", 0.5)))
        await asyncio.sleep(0)
        await engine.start(Load(id="other", model="second"))
        three = asyncio.create_task(read(mixed("three", "noir", 1.0)))
        assert await one == {"first noir:1]"}
        assert await two == {"first gothic:0.5]"}
        assert await three == {"second noir:1]"}
        streamed = [
            name for name in order_of_events if name != "three"
        ]  # it was told to wait while two streamed
        assert streamed == sorted(streamed)
        assert (await heard.next(Ready)).model == "second"


# safety 79


async def test_safety_79_no_text_of_the_writer_reaches_the_log_whatever_fails() -> None:
    async with fake_client() as (engine, _):
        for note in ("stumble", "fail", "exit:1"):
            with pytest.raises(EngineError) as caught:
                await all_of(engine, order("g", note, text=SECRET))
            assert SECRET not in str(caught.value)  # nor does a dialog quote it
        await all_of(engine, order("g", "print", text=SECRET))
        with pytest.raises(EngineError, match="stumbled"):
            await engine.score(Score(id="s", text="stumble"))
    logged = engine_log_path().read_text()
    assert "RuntimeError" in logged
    assert "LookupError" in logged
    assert not any(SECRET[start : start + 12] in logged for start in range(len(SECRET) - 12))


@pytest.mark.slow
async def test_safety_79_nor_with_the_real_core(starter_model: Path) -> None:
    engine = EngineClient()
    heard = Heard(engine)
    await engine.start(Load(id="load", model=str(starter_model), device="cpu", threads=1))
    await heard.next(Ready)
    context = Context(text=SECRET * 40, memory=SECRET[::-1], note=SECRET)
    events = await all_of(
        engine, Generate(id="g", context=context, takes=2, stop=StopRules(max_tokens=8), seed=1)
    )
    written = [event.text for event in events if isinstance(event, TakeDone)]
    await engine.score(Score(id="s", text=SECRET))
    await engine.probe(Probe(id="p", context=context))
    await engine.close()
    for path in state_dir().rglob("*"):
        logged = path.read_text(errors="replace") if path.is_file() else ""
        for text in (SECRET, SECRET[::-1], *written):
            assert not text.strip() or text.strip() not in logged
