"""The client and a real child round a scripted core: streams, answers, cancelling, refusals, closing."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.client import EngineClient
from storyteller.engine.process.child import engine_command
from storyteller.engine.process.streams import FULL
from storyteller.engine.protocol import (
    MAX_LINE,
    Began,
    Context,
    Done,
    Generate,
    Load,
    Loading,
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
from tests.stubs.engine_client import Heard, all_of, fake_client, order, rest_of, until
from tests.stubs.engine_process import FAKE_ENGINE

if TYPE_CHECKING:
    from storyteller.engine.port import Engine
    from storyteller.engine.protocol import GenerateEvent, StatusEvent


def running(pid: int | None) -> bool:
    """Whether a process of ours is there, be it as a zombie."""
    return Path(f"/proc/{pid}").exists()


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


async def test_start_returns_at_once_and_listeners_hear_the_rest() -> None:
    engine: Engine = EngineClient(command=FAKE_ENGINE)
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    assert heard.events == []
    ready = await heard.next(Ready)
    assert ready.id == "load"
    assert [type(event) for event in heard.events] == [Loading, Loading, Ready]
    await engine.close()


async def test_a_request_streams_and_ends_with_done() -> None:
    async with fake_client() as (engine, _):
        events = await all_of(engine, order(takes=2))
        assert [type(event) for event in events] == [Began, *[Token] * 10, TakeDone, TakeDone, Done]
        streamed = "".join(event.text for event in events if isinstance(event, Token) and event.take == 1)
        assert streamed == next(
            event.text for event in events if isinstance(event, TakeDone) and event.take == 1
        )
        assert engine.ready is not None
        assert engine.ready.model == "fake"


async def test_requests_side_by_side_get_their_own_events() -> None:
    async with fake_client() as (engine, _):
        names = [f"g{number}" for number in range(8)]
        found = await asyncio.gather(*(all_of(engine, order(name)) for name in names))
        for name, events in zip(names, found, strict=True):
            assert {event.id for event in events} == {name}
            assert isinstance(events[-1], Done)


async def test_a_request_made_while_loading_waits_after_a_notice(tmp_path: Path) -> None:
    engine = EngineClient(command=FAKE_ENGINE)
    gate = tmp_path / "gate"
    await engine.start(Load(id="load", model=f"hold:{gate}"))
    async with aclosing(engine.generate(order())) as events:
        assert isinstance(await anext(events), Notice)
        gate.touch()
        assert isinstance(await anext(events), Began)
    await engine.close()


async def test_without_a_start_there_is_no_model() -> None:
    engine = EngineClient(command=FAKE_ENGINE)
    with pytest.raises(EngineError, match="No model is open"):
        await all_of(engine, order())
    await engine.prepare(Prepare(id="p"))
    await engine.cancel("g")
    await engine.close()


async def test_an_id_that_is_still_open_cannot_be_used_again() -> None:
    async with fake_client() as (engine, _), aclosing(engine.generate(order("g", "tokens:9999"))) as events:
        await anext(events)
        with pytest.raises(ValueError, match="still open"):
            await all_of(engine, order("g"))
        assert isinstance(await anext(events), Token)


async def test_score_probe_and_prepare() -> None:
    async with fake_client() as (engine, heard):
        scored = await engine.score(Score(id="s", text="one two"))
        assert [token.text for token in scored.tokens] == ["one", " two"]
        assert len((await engine.probe(Probe(id="p", top=4))).alternatives) == 4
        await engine.prepare(Prepare(id="prepare", context=Context(note="long")))
        await engine.prepare(Prepare(id="prepare2", context=Context(note="long")))
        assert isinstance((await all_of(engine, order()))[-1], Done)
        await engine.score(Score(id="s", text="one two"))
        assert len(engine.streams) == 0
        assert not any(isinstance(event, Notice) for event in heard.events)


async def test_a_notice_about_a_score_goes_to_the_listeners(tmp_path: Path) -> None:
    engine = EngineClient(command=FAKE_ENGINE)
    heard = Heard(engine)
    gate = tmp_path / "gate"
    await engine.start(Load(id="load", model=f"hold:{gate}"))
    asked = asyncio.create_task(engine.score(Score(id="s", text="a")))
    assert (await heard.next(Notice)).id == "s"
    gate.touch()
    assert (await asked).id == "s"
    await engine.close()


# Cancelling


async def test_cancel_ends_the_request_and_says_so() -> None:
    async with fake_client() as (engine, _):
        found: list[GenerateEvent] = []
        async for event in engine.generate(order("g", "tokens:100000 every:0.001", takes=2)):
            found.append(event)
            if len(found) == 4:
                await engine.cancel("g")
                await engine.cancel("g")
                await engine.cancel("nobody")
        assert [type(event) for event in found[-3:]] == [TakeDone, TakeDone, Done]
        assert found[-1] == Done(id="g", reason="cancelled")
        assert len(found) < 200


async def test_cancel_of_one_take_leaves_the_others() -> None:
    async with fake_client() as (engine, _):
        ends: list[TakeDone] = []
        async for event in engine.generate(order("g", "tokens:200 every:0.001", takes=2)):
            if isinstance(event, Began):
                await engine.cancel("g", take=0)
            if isinstance(event, TakeDone):
                ends.append(event)
        assert [(end.take, end.finish) for end in ends] == [(0, "cancelled"), (1, "length")]


async def test_closing_the_iterator_early_cancels() -> None:
    async with fake_client() as (engine, _):
        pid = engine.pid
        async with aclosing(engine.generate(order("g", "tokens:1000000 every:0.001"))) as events:
            async for event in events:
                if isinstance(event, Token):
                    break
        assert isinstance((await all_of(engine, order("h")))[-1], Done)
        assert len(engine.streams) == 0
        assert engine.pid == pid


async def test_a_request_that_never_left_is_cancelled_on_the_spot() -> None:
    engine = EngineClient(command=FAKE_ENGINE)
    await engine.start(Load(id="load"))
    asked = asyncio.create_task(all_of(engine, order()))
    await asyncio.sleep(0)  # it is asked now, and the child cannot have said hello
    await engine.cancel("g")
    assert await asked == [Done(id="g", reason="cancelled")]
    assert isinstance((await all_of(engine, order()))[-1], Done)
    await engine.close()


async def test_a_score_whose_asker_is_gone_is_dropped(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with fake_client() as (engine, _), aclosing(engine.generate(order("g", f"hold:{gate}"))) as events:
        await anext(events)
        asked = asyncio.create_task(engine.score(Score(id="s", text="a")))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        gate.touch()
        await rest_of(events)
        assert (await engine.score(Score(id="s", text="a"))).id == "s"


# Refusals


async def test_the_users_mistakes_are_user_errors() -> None:
    async with fake_client() as (engine, _):
        pid = engine.pid
        with pytest.raises(UserError, match="Ask for less"):
            await all_of(engine, order("g", "refuse"))
        with pytest.raises(UserError, match="temperature"):
            await all_of(engine, Generate(id="g", settings=SamplerSettings(temperature=-1.0)))
        with pytest.raises(UserError, match="too long"):
            await engine.score(Score(id="s", text="x" * MAX_LINE))
        with pytest.raises(EngineError, match="gave up"):
            await all_of(engine, order("g", "fail"))
        with pytest.raises(EngineError, match="stumbled"):
            await all_of(engine, order("g", "stumble", text="secret"))
        assert isinstance((await all_of(engine, order()))[-1], Done)
        assert engine.pid == pid
        assert len(engine.streams) == 0


async def test_a_listener_that_raises_stops_nobody() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    engine = EngineClient(command=FAKE_ENGINE)

    def bad(event: StatusEvent) -> None:
        raise LookupError(event)

    engine.listen(bad)
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    await heard.next(Ready)
    assert [type(error) for error in reported] == [LookupError] * len(heard.events)
    await engine.close()


async def test_a_module_in_the_writers_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('the writer wrote this')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert engine_command()[1] == "-P"
    async with fake_client(command=(sys.executable, "-P", *FAKE_ENGINE[1:])) as (engine, _):
        assert isinstance((await all_of(engine, order()))[-1], Done)


# Back-pressure


async def test_a_slow_reader_holds_the_engine_up() -> None:
    count = 4 * FULL
    async with (
        fake_client() as (engine, _),
        aclosing(engine.generate(order("g", f"tokens:{count}"))) as events,
    ):
        await anext(events)
        await until(lambda: engine.streams.backlog.full)
        before = time.monotonic()
        await until(lambda: time.monotonic() - before > 0.2)
        stream = engine.streams.find("g")
        assert stream is not None
        assert FULL <= stream.waiting < 2 * FULL  # what was read at once, and no more
        positions = [event.token async for event in events if isinstance(event, Token)]
        assert positions == list(range(count))
        assert not engine.streams.backlog.full


async def test_leaving_a_full_stream_lets_the_others_go_on() -> None:
    async with fake_client() as (engine, _):
        async with aclosing(engine.generate(order("g", f"tokens:{10 * FULL}"))) as events:
            await anext(events)
            await until(lambda: engine.streams.backlog.full)
        assert isinstance((await all_of(engine, order("h")))[-1], Done)


# Closing


@linux
@pytest.mark.parametrize(
    "note", ["", "tokens:1000000", "deaf hold:/never"], ids=["idle", "streaming", "deaf"]
)
async def test_close_is_quick_and_leaves_nothing(note: str) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    tasks = asyncio.all_tasks()
    threads = threading.enumerate()
    engine = EngineClient(command=FAKE_ENGINE)
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    await heard.next(Ready)
    pid = engine.pid
    events = engine.generate(order("g", note))
    while note and not isinstance(await anext(events), Token):
        pass
    before = time.monotonic()
    await engine.close()
    assert time.monotonic() - before < 2.0
    assert not running(pid)
    if note:
        with pytest.raises(EngineError, match="closed"):
            await rest_of(events)
    assert asyncio.all_tasks() == tasks
    assert threading.enumerate() == threads
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208


async def test_close_before_hello_twice_and_start_again() -> None:
    engine = EngineClient(command=FAKE_ENGINE)
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    await engine.close()
    await engine.close()
    with pytest.raises(EngineError, match="No model is open"):
        await all_of(engine, order())
    await engine.start(Load(id="again"))
    assert (await heard.next(Ready)).id == "again"
    assert isinstance((await all_of(engine, order()))[-1], Done)
    await engine.close()


@linux
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_event_loop_that_ends_without_close_leaves_no_orphan() -> None:
    async def forget_to_close() -> int:
        engine = EngineClient(command=FAKE_ENGINE)
        heard = Heard(engine)
        await engine.start(Load(id="load"))
        await heard.next(Ready)
        assert engine.pid is not None
        return engine.pid

    assert not running(asyncio.run(forget_to_close()))


@linux
async def test_the_terminals_signals_pass_the_child_by() -> None:
    async with fake_client() as (engine, _):
        assert engine.pid is not None
        assert os.getsid(engine.pid) == engine.pid != os.getsid(0)
