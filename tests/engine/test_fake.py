"""The scripted engine keeps the rules of the real one, the same every time, and does as its director says."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.fake import FakeEngine, Reply
from storyteller.engine.process.script import perform, pieces
from storyteller.engine.protocol import (
    Began,
    Cancel,
    Context,
    Done,
    Failed,
    Generate,
    Load,
    Loading,
    Notice,
    Prepare,
    Probe,
    Ready,
    Rewound,
    Score,
    TakeDone,
    Token,
    encode,
)
from storyteller.errors import EngineError, ModelError, UserError
from tests.stubs.engine_client import Heard, all_of, order, rest_of

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.port import Engine
    from storyteller.engine.protocol import GenerateEvent

TEXTS = st.lists(st.text(max_size=40), min_size=1, max_size=4).map(tuple)


async def started(*script: Reply | str, pace: float | None = 0.0) -> FakeEngine:
    engine = FakeEngine(script, pace=pace)
    await engine.start(Load(id="load"))
    return engine


def texts_of(events: list[GenerateEvent]) -> dict[int, str]:
    """What a reader has of each take after these events."""
    texts: dict[int, str] = {}
    for event in events:
        match event:
            case Token():
                texts[event.take] = texts.get(event.take, "") + event.text
            case Rewound():
                texts[event.take] = texts[event.take][: -event.characters or None]
    return texts


@given(TEXTS, st.integers(1, 6), st.integers(0, 2**32), st.integers(0, 60))
def test_every_performance_keeps_the_rules(
    texts: tuple[str, ...], takes: int, seed: int, stop_after: int
) -> None:
    """Began first, one TakeDone a take with all that was streamed, Done last; cancelled after any number of events."""
    cancel = CancelSignal()
    request = Generate(id="g", takes=takes, seed=seed)
    events: list[GenerateEvent] = []
    for event in perform(Reply(texts=texts), request, cancel):
        events.append(event)
        if len(events) == stop_after:
            cancel.cancel()
    ends = [event for event in events if isinstance(event, TakeDone)]
    assert sorted(end.take for end in ends) == list(range(takes))
    assert isinstance(events[0], Began)
    assert isinstance(events[-1], Done)
    assert [event for event in events if isinstance(event, Done)] == events[-1:]
    streamed = texts_of(events)
    for end in ends:
        assert end.text == streamed.get(end.take, "")
        assert end.seed == seed + end.take
        assert end.text == texts[end.take % len(texts)] or end.finish == "cancelled"


@given(st.text())
def test_pieces_lose_nothing(text: str) -> None:
    assert "".join(pieces(text)) == text


async def test_it_is_an_engine_and_answers_the_same_every_time() -> None:
    runs = []
    for _ in range(2):
        engine: Engine = await started(" Once upon a time.", Reply(texts=(" a b", " c d e")))
        runs.append([await all_of(engine, order(f"g{number}", takes=2)) for number in range(3)])
        await engine.close()
    assert runs[0] == runs[1]
    first, second, third = runs[0]
    assert texts_of(first) == {0: " Once upon a time.", 1: " Once upon a time."}
    assert [event.take for event in second if isinstance(event, Token)] == [0, 1, 0, 1, 1]
    assert texts_of(third) == texts_of(first)


async def test_seeds_are_told_as_they_were_given() -> None:
    engine = await started()
    for request, seeds in (
        (Generate(id="a", takes=2, seed=5), (5, 6)),
        (Generate(id="b", takes=2, seeds=(7, 7)), (7, 7)),
    ):
        events = [event async for event in engine.generate(request)]
        assert [event.seeds for event in events if isinstance(event, Began)] == [seeds]
        assert tuple(event.seed for event in events if isinstance(event, TakeDone)) == seeds
    await engine.close()


async def test_stepping_sends_what_is_asked_for_and_waits_for_the_reader() -> None:
    engine = await started(" one two three four", pace=None)
    read: list[GenerateEvent] = []

    async def reader() -> None:
        async for event in engine.generate(order()):
            await asyncio.sleep(0)
            read.append(event)

    reading = asyncio.create_task(reader())
    await asyncio.sleep(0)
    assert read == []
    assert await engine.step() == 1
    assert [type(event) for event in read] == [Began, Token]
    assert await engine.step(2) == 2
    assert texts_of(read) == {0: " one two three"}
    assert await engine.step(9) == 1
    await reading
    assert isinstance(read[-1], Done)
    assert await engine.step() == 0
    await engine.close()


async def test_requests_are_played_one_after_the_other() -> None:
    engine = await started(" a b c", pace=None)
    both = asyncio.gather(all_of(engine, order("first")), all_of(engine, order("second")))
    await asyncio.sleep(0)
    assert await engine.step(3) == 3
    assert engine.streams.find("second") is not None
    await engine.finish()
    first, second = await both
    assert {event.id for event in first} == {"first"}
    assert isinstance(second[-1], Done)
    await engine.close()


async def test_cancel_ends_a_stepped_request_without_a_step() -> None:
    engine = await started(" a b c", pace=None)
    events = engine.generate(order(takes=2))
    reading = asyncio.create_task(rest_of(events))
    await asyncio.sleep(0)
    await engine.step(3)
    await engine.cancel("g", take=1)
    await engine.step()
    await engine.cancel("g")
    found = await reading
    assert [(end.take, end.text, end.finish) for end in found if isinstance(end, TakeDone)] == [
        (1, " a", "cancelled"),
        (0, " a b c", "cancelled"),
    ]
    assert found[-1] == Done(id="g", reason="cancelled", tokens=4)
    assert [request for request in engine.received if isinstance(request, Cancel)] == [
        Cancel(id="g", take=1),
        Cancel(id="g"),
    ]
    await engine.close()


async def test_cancel_of_one_that_waits_and_closing_early() -> None:
    engine = await started(" a b c", pace=None)
    async with aclosing(engine.generate(order("g"))) as events:
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(all_of(engine, order("waiting")))
        await asyncio.sleep(0)
        await engine.cancel("waiting")
        assert await waiting == [Done(id="waiting", reason="cancelled")]
        await engine.step()
        assert isinstance(await first, Began)
    assert len(engine.streams) == 0
    again = asyncio.create_task(all_of(engine, order("h")))
    await asyncio.sleep(0)
    await engine.finish()
    assert texts_of(await again) == {0: " a b c"}
    await engine.close()


async def test_slow_and_failing_loads() -> None:
    engine = FakeEngine(slow_load=True)
    heard = Heard(engine)
    await engine.start(Load(id="load"))
    assert (await heard.next(Loading)).fraction < 1
    async with aclosing(engine.generate(order())) as events:
        assert isinstance(await anext(events), Notice)
        scoring = asyncio.create_task(engine.score(Score(id="s", text="a b")))
        await asyncio.sleep(0)
        assert not scoring.done()
        engine.finish_loading()
        assert (await heard.next(Ready)).id == "load"
        assert isinstance(await anext(events), Began)
        await rest_of(events)
    assert len((await scoring).tokens) == 2
    await engine.start(Load(id="other"))
    waiting = asyncio.create_task(all_of(engine, order()))
    await asyncio.sleep(0)
    engine.fail_loading(ModelError("It is damaged."))
    assert (await heard.next(Failed)).id == "other"
    assert isinstance((await waiting)[-1], Done)  # with the model that was open before
    await engine.close()


async def test_a_first_load_that_fails_fails_who_waits() -> None:
    engine = FakeEngine(slow_load=True)
    await engine.start(Load(id="load"))
    waiting = asyncio.create_task(all_of(engine, order()))
    await asyncio.sleep(0)
    engine.fail_loading(ModelError("It is damaged."))
    with pytest.raises(EngineError, match="No model is open"):
        await waiting
    await engine.close()


async def test_errors_deaths_and_notices_of_a_script() -> None:
    engine = await started(
        Reply(error=UserError("Ask for less."), after=1),
        Reply(dies=True, after=2),
        Reply(notice="A fallback.", rewind=2, texts=(" a b c",), final=(" a b.",), finish="eos"),
    )
    heard = Heard(engine)
    with pytest.raises(UserError, match="Ask for less"):
        await all_of(engine, order())
    found: list[GenerateEvent] = []
    with pytest.raises(EngineError, match="untouched"):  # noqa: PT012 - what came before the death counts
        async for event in engine.generate(order()):
            found.append(event)  # noqa: PERF401
    assert len([event for event in found if isinstance(event, Token)]) == 2
    assert (await heard.next(Loading)).stage == "starting again"
    await heard.next(Ready)
    found = await all_of(engine, order())
    assert [event.message for event in found if isinstance(event, Notice)] == ["A fallback."]
    assert [(event.characters, event.tokens) for event in found if isinstance(event, Rewound)] == [(4, 2)]
    assert texts_of(found) == {0: " a"}
    end = next(event for event in found if isinstance(event, TakeDone))
    assert (end.text, end.finish, len(end.ids)) == (" a b.", "eos", 1)
    await engine.close()


async def test_a_death_at_any_time() -> None:
    engine = await started(pace=None)
    heard = Heard(engine)
    engine.die()
    assert "untouched" in (await heard.next(Notice)).message
    await heard.next(Ready)
    reading = asyncio.create_task(all_of(engine, order()))
    await asyncio.sleep(0)
    await engine.step(2)
    engine.die(for_good=True)
    with pytest.raises(EngineError):
        await reading
    assert "keeps stopping" in (await heard.next(Failed)).title
    engine.notify("Something to know.")
    assert (await heard.next(Notice)).message == "Something to know."
    await engine.close()


async def test_score_probe_and_prepare_are_answered_without_a_step() -> None:
    engine = await started(pace=None)
    assert [token.text for token in (await engine.score(Score(id="s", text="one two"))).tokens] == [
        "one",
        " two",
    ]
    assert len((await engine.probe(Probe(id="p", top=3))).alternatives) == 3
    await engine.prepare(Prepare(id="q", context=Context(text="x")))
    assert [type(request) for request in engine.received] == [Load, Score, Probe, Prepare]
    assert len(engine.streams) == 0
    await engine.close()


async def test_a_pace_takes_its_time_and_close_leaves_no_task() -> None:
    engine = await started(" a b c d", pace=0.01)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await all_of(engine, order())
    assert loop.time() - before >= 0.03
    reading = asyncio.create_task(all_of(engine, order()))
    await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await reading
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_recording_is_played_back(tmp_path: Path) -> None:
    engine = await started(Reply(texts=(" one", " two"), notice="Hm."), " and on")
    recording = tmp_path / "events.jsonl"
    lines = [
        encode(
            Ready(id="load", model="m", path="", model_hash="", device="", dtype="", window=1, parameters=1)
        )
    ]
    original = [await all_of(engine, order("a", takes=2)), await all_of(engine, order("b"))]
    lines += [encode(event) for events in original for event in events]
    recording.write_bytes(b"".join(lines))
    again = FakeEngine.replay(recording)
    await again.start(Load(id="load"))
    assert [await all_of(again, order("a", takes=2)), await all_of(again, order("b"))] == original
    assert (await all_of(again, order("c", takes=2)))[-1].id == "c"
    await engine.close()
    await again.close()
