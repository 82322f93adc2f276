"""A child that dies, hangs, babbles or cannot be started: one sentence for the writer, and the next request works."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.client import EngineClient
from storyteller.engine.process.child import Child
from storyteller.engine.process.restart import DELAYS_S, QUICK_S, RestartPolicy, advice, obituary
from storyteller.engine.protocol import Done, Failed, Load, Loading, Notice, Ready, Score, Token
from storyteller.errors import EngineError
from storyteller.paths import engine_log_path
from tests.stubs.engine_client import Heard, all_of, fake_client, order, rest_of
from tests.stubs.engine_process import FAKE_ENGINE
from tests.stubs.fake_core import CURSE

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.protocol import GenerateEvent


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        (f"die:{signal.SIGKILL:d}", "most likely because memory ran out"),
        (f"die:{signal.SIGSEGV:d}", "segmentation fault"),
        ("exit:3", "code 3"),
    ],
)
async def test_a_death_in_mid_stream_is_one_sentence_and_the_next_request_works(
    note: str, sentence: str
) -> None:
    async with fake_client() as (engine, heard):
        pid = engine.pid
        found: list[GenerateEvent] = []
        events = engine.generate(order("g", note))
        with pytest.raises(EngineError, match=sentence) as caught:  # noqa: PT012 - what came before the death counts
            async for event in events:
                found.append(event)  # noqa: PERF401
        assert len([event for event in found if isinstance(event, Token)]) == 2
        assert "Your text is untouched" in caught.value.message
        assert isinstance((await all_of(engine, order("h")))[-1], Done)
        assert engine.pid != pid
        await heard.next(Ready)
        stages = [event.stage for event in heard.events if isinstance(event, Loading)]
        assert "starting again" in stages
        assert not any(
            isinstance(event, Notice | Failed) for event in heard.events
        )  # the request's reader knows


async def test_every_open_request_learns_of_the_death() -> None:
    async with fake_client() as (engine, _):
        asked = [
            asyncio.create_task(all_of(engine, order("g", "tokens:100000 every:0.001"))),
            asyncio.create_task(all_of(engine, order("waiting"))),
        ]
        scoring = asyncio.create_task(engine.score(Score(id="s", text="a")))
        await asyncio.sleep(0)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        ends = await asyncio.gather(*asked, scoring, return_exceptions=True)
        assert [type(end) for end in ends] == [EngineError] * 3
        assert len(engine.streams) == 0


async def test_a_death_while_nothing_is_asked_is_a_notice_and_a_restart() -> None:
    async with fake_client() as (engine, heard):
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGTERM)
        notice = await heard.next(Notice)
        assert "terminated" in notice.message
        assert engine.ready is None
        assert (await heard.next(Loading)).stage == "starting again"
        assert (await heard.next(Ready)).id == "load"


async def test_three_quick_deaths_and_it_is_left_alone_until_asked() -> None:
    engine = EngineClient(command=FAKE_ENGINE)
    heard = Heard(engine)
    await engine.start(Load(id="load", model=f"die:{signal.SIGKILL:d}"))
    failure = await heard.next(Failed)
    assert failure.title == "The engine keeps stopping"
    assert str(engine_log_path()) in failure.message
    starts = [event for event in heard.events if isinstance(event, Loading) and event.stage == "starting"]
    assert len(starts) == 3
    with pytest.raises(EngineError, match="memory"):  # one attempt more, since somebody asks
        await all_of(engine, order())
    await engine.start(Load(id="good"))
    assert (await heard.next(Ready)).id == "good"
    assert isinstance((await all_of(engine, order()))[-1], Done)
    await engine.close()


async def test_a_child_that_takes_long_to_die_while_it_opens_is_left_alone_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storyteller.engine.process.restart.QUICK_S", 1e-9)  # every life is long
    engine = EngineClient(command=FAKE_ENGINE)
    heard = Heard(engine)
    await engine.start(Load(id="load", model=f"die:{signal.SIGKILL:d}"))
    assert (await heard.next(Failed)).title == "The engine keeps stopping"
    await engine.close()


async def test_what_was_told_that_it_failed_is_not_sent_to_the_next_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with fake_client() as (engine, heard):
        assert engine.pid is not None
        with monkeypatch.context() as patch:
            patch.setattr("storyteller.engine.client.Child", no_more_processes)
            os.kill(engine.pid, signal.SIGKILL)
            await heard.next(Loading)
            with pytest.raises(EngineError, match="cannot be started"):
                await all_of(engine, order("given up"))
        sent: list[str] = []
        original = Child.send

        def watched(child: Child, line: bytes) -> None:
            sent.append(line.decode())
            original(child, line)

        monkeypatch.setattr(Child, "send", watched)
        assert isinstance((await all_of(engine, order("next")))[-1], Done)
        assert not any("given up" in line for line in sent)


def no_more_processes(*_: object) -> None:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


async def test_a_child_that_dies_while_loading_fails_who_waits(tmp_path: Path) -> None:
    engine = EngineClient(command=FAKE_ENGINE)
    await engine.start(Load(id="load", model=f"hold:{tmp_path / 'never'}"))
    async with aclosing(engine.generate(order())) as events:
        assert isinstance(await anext(events), Notice)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="memory"):
            await anext(events)
    await engine.close()


async def test_after_a_load_that_failed_a_restart_opens_the_last_good_model() -> None:
    async with fake_client("good") as (engine, heard):
        await engine.start(Load(id="bad", model="missing"))
        failure = await heard.next(Failed)
        assert (failure.id, failure.exit_code) == ("bad", 2)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert (await heard.next(Ready)).model == "good"


# Wedged


async def test_a_child_that_ignores_a_cancel_is_replaced(tmp_path: Path) -> None:
    async with fake_client(cancel_deadline_s=0.2) as (engine, heard):
        pid = engine.pid
        waiting: asyncio.Task[list[GenerateEvent]] | None = None
        found: list[GenerateEvent] = []
        async for event in engine.generate(order("g", f"deaf hold:{tmp_path / 'never'}")):
            found.append(event)
            if isinstance(event, Token) and event.token == CURSE - 1:
                waiting = asyncio.create_task(all_of(engine, order("waiting")))
                await engine.cancel("g")
        assert found[-1] == Done(id="g", reason="cancelled")
        assert waiting is not None
        with pytest.raises(EngineError, match="stuck"):
            await waiting
        assert isinstance((await all_of(engine, order("h")))[-1], Done)
        assert engine.pid != pid
        assert (await heard.next(Ready)).id == "load"


async def test_leaving_a_wedged_stream_tells_the_listeners(tmp_path: Path) -> None:
    async with fake_client(cancel_deadline_s=0.2) as (engine, heard):
        async with aclosing(engine.generate(order("g", f"deaf hold:{tmp_path / 'never'}"))) as events:
            while getattr(await anext(events), "token", None) != CURSE - 1:
                pass
        assert "stuck" in (await heard.next(Notice)).message
        await heard.next(Ready)


async def test_an_engine_that_is_slow_to_open_is_given_longer_to_stop(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    engine = EngineClient(command=FAKE_ENGINE, cancel_deadline_s=0.05)
    heard = Heard(engine)
    before = time.monotonic()
    await engine.start(Load(id="load", model=f"hold:{gate}"))
    asyncio.get_running_loop().call_later(0.5, gate.touch)
    await heard.next(Ready)
    opening = time.monotonic() - before
    async with aclosing(engine.generate(order("g", f"deaf hold:{tmp_path / 'never'}"))) as events:
        while getattr(await anext(events), "token", None) != CURSE - 1:
            pass
        left = time.monotonic()
    assert "stuck" in (await heard.next(Notice)).message
    assert time.monotonic() - left > 0.9 * opening > 0.4
    await engine.close()


async def test_the_deadline_does_not_run_while_the_reader_is_slow(tmp_path: Path) -> None:
    async with (
        fake_client(cancel_deadline_s=0.1) as (engine, _),
        aclosing(engine.generate(order("g", "tokens:100000"))) as events,
    ):
        pid = engine.pid
        await anext(events)
        waiting = asyncio.create_task(all_of(engine, order("waiting")))
        while not engine.streams.backlog.full:  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0)
        await engine.cancel("waiting")
        await asyncio.sleep(0.3)  # longer than the deadline, in which the child's answer cannot reach us
        assert engine.pid == pid
        await engine.cancel("g")
        assert (await rest_of(events))[-1] == Done(id="g", reason="cancelled")
        assert (await waiting)[-1] == Done(id="waiting", reason="cancelled")


# Not an engine


async def test_a_child_of_another_version_is_not_talked_to() -> None:
    program = 'import sys; print(\'{"type":"hello","version":99}\', flush=True); sys.stdin.read()'
    engine = EngineClient(command=(sys.executable, "-c", program))
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    failure = await heard.next(Failed)
    assert "99" in failure.message
    assert engine.pid is None
    with pytest.raises(EngineError, match="another version"):
        await all_of(engine, order())
    await engine.close()


@pytest.mark.parametrize("said", ["no json at all", '{"type":"hum"}', '{"type":"done"}'])
async def test_a_child_that_makes_no_sense_is_left_alone_after_three(said: str) -> None:
    program = f"import sys; print({said!r}, flush=True); sys.stdin.read()"
    engine = EngineClient(command=(sys.executable, "-c", program))
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    failure = await heard.next(Failed)
    assert failure.title == "The engine keeps stopping"
    assert engine.pid is None
    await engine.close()


async def test_a_program_that_does_not_run_is_told() -> None:
    engine = EngineClient(command=("/nowhere/python",))
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    assert (await heard.next(Failed)).id == "load"
    with pytest.raises(EngineError, match="cannot be started"):
        await all_of(engine, order())
    await engine.close()


# The policy


@given(st.lists(st.floats(0, 100)))
def test_only_three_quick_deaths_in_a_row_end_the_restarts(lives: list[float]) -> None:
    policy = RestartPolicy()
    row = 0
    for lived in lives:
        row = row + 1 if lived < QUICK_S else 0
        delay = policy.died(lived)
        assert (delay is None) == (row >= 3)
        if delay is not None:
            assert delay == DELAYS_S[max(row, 1) - 1]


@pytest.mark.parametrize("code", [-9, -11, -15, -6, -64, 0, 1, 3])
def test_every_end_has_a_sentence_and_advice(code: int) -> None:
    assert obituary(code).endswith(".")
    assert advice(code).startswith("Your text is untouched")
