"""The engine's events as messages for a screen: in order, batched, whatever happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.fake import FakeEngine, Reply
from storyteller.engine.protocol import Generate, Load
from storyteller.errors import EngineError
from storyteller.tui.stream import (
    OfferBegan,
    OfferEnded,
    OfferFailed,
    OfferGrew,
    OfferRemarked,
    OfferRewound,
    Stream,
    StreamEnded,
    TokenRate,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.message import Message

TEXT = " The lamp burned low, and outside the rain went on as if it had been paid to."


async def streamed(
    script: Sequence[Reply | str], *, takes: int = 1, pace: float = 0.0
) -> tuple[list[Message], Stream]:
    engine = FakeEngine(script, pace=pace)
    await engine.start(Load(id="l"))
    messages: list[Message] = []
    stream = Stream(engine, Generate(id="g", takes=takes), messages.append)
    await stream.run()
    await engine.close()
    return messages, stream


async def test_a_take_begins_grows_and_ends() -> None:
    messages, _ = await streamed([TEXT])
    kinds = [type(message) for message in messages]
    assert kinds[0] is OfferBegan
    assert kinds[-2:] == [OfferEnded, StreamEnded]
    assert "".join(message.text for message in messages if isinstance(message, OfferGrew)) == TEXT


async def test_updates_come_at_most_thirty_times_a_second() -> None:
    now = [0.0]
    engine = FakeEngine([TEXT * 20], pace=None)
    await engine.start(Load(id="l"))
    messages: list[Message] = []
    stream = Stream(engine, Generate(id="g"), messages.append, clock=lambda: now[0])
    task = asyncio.create_task(stream.run())
    await asyncio.sleep(0)
    for _ in range(200):
        await engine.step()
        now[0] += 0.005
    grew = [message for message in messages if isinstance(message, OfferGrew)]
    assert 15 <= len(grew) <= 31
    assert max(message.rate for message in grew) == pytest.approx(200, rel=0.1)
    await engine.close()
    await task


async def test_what_is_taken_back_comes_after_what_it_takes_back() -> None:
    messages, _ = await streamed([Reply(texts=(TEXT,), final=(TEXT[:-5] + " well.",), rewind=5)])
    shown = ""
    for message in messages:
        if isinstance(message, OfferGrew):
            shown += message.text
        elif isinstance(message, OfferRewound):
            assert shown == TEXT
            shown = shown[: -message.characters]
        elif isinstance(message, OfferEnded):
            assert message.done.text.startswith(shown)
    assert any(isinstance(message, OfferRewound) for message in messages)


async def test_takes_are_told_apart() -> None:
    messages, _ = await streamed([Reply(texts=(" One.", " Two.", " Three."))], takes=3)
    texts = {0: "", 1: "", 2: ""}
    for message in messages:
        if isinstance(message, OfferGrew):
            texts[message.take] += message.text
    assert texts == {0: " One.", 1: " Two.", 2: " Three."}
    assert [message.done.take for message in messages if isinstance(message, OfferEnded)] == [0, 1, 2]


async def test_a_failure_is_a_message_and_the_end() -> None:
    reply = Reply(texts=(TEXT,), error=EngineError("Ask again.", title="It broke"), after=3)
    messages, _ = await streamed([reply])
    failed, ended = messages[-2:]
    assert isinstance(failed, OfferFailed)
    assert (failed.title, failed.message) == ("It broke", "Ask again.")
    assert isinstance(ended, StreamEnded)
    assert "".join(message.text for message in messages if isinstance(message, OfferGrew)) != ""


async def test_a_notice_is_passed_on() -> None:
    messages, _ = await streamed([Reply(notice="A loop was left.")])
    assert [message.message for message in messages if isinstance(message, OfferRemarked)] == [
        "A loop was left."
    ]


async def test_cancelling_ends_it_with_what_came() -> None:
    engine = FakeEngine([TEXT], pace=None)
    await engine.start(Load(id="l"))
    messages: list[Message] = []
    stream = Stream(engine, Generate(id="g"), messages.append)
    task = asyncio.create_task(stream.run())
    await asyncio.sleep(0)
    await engine.step(4)
    await stream.cancel()
    await task
    assert isinstance(messages[-1], StreamEnded)
    assert messages[-1].cancelled
    (ended,) = [message for message in messages if isinstance(message, OfferEnded)]
    assert ended.done.finish == "cancelled"
    assert TEXT.startswith(ended.done.text)


async def test_a_worker_that_is_cancelled_cancels_the_request() -> None:
    engine = FakeEngine([TEXT], pace=None)
    await engine.start(Load(id="l"))
    messages: list[Message] = []
    task = asyncio.create_task(Stream(engine, Generate(id="g"), messages.append).run())
    await asyncio.sleep(0)
    await engine.step(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(messages[-1], StreamEnded)
    assert len(engine.streams) == 0


def test_several_takes_are_counted_one_by_one() -> None:
    now = [0.0]
    rate = TokenRate(lambda: now[0])
    for step in range(20):  # five steps a second, of four takes each, which come in one burst
        now[0] = 0.2 * step
        for take in range(4):
            rate.count(take)
        assert rate.value == pytest.approx(20 if step else 0)
    for take in (0, 1, 2):
        rate.ended(take)
    assert rate.value == pytest.approx(5)
    rate.ended(3)
    assert rate.value == pytest.approx(5)


def test_the_rate_is_that_of_the_last_two_seconds() -> None:
    now = [0.0]
    rate = TokenRate(lambda: now[0])
    assert rate.value == 0
    for _ in range(50):
        rate.count()
        now[0] += 0.1
    assert rate.value == pytest.approx(10)
    for _ in range(200):
        rate.count()
        now[0] += 0.01
    assert rate.value == pytest.approx(100, rel=0.02)
