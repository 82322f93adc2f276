"""The writer's thread: order, commits before answers, one warning, and an event loop that never waits."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from storyteller import paths
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.history import read_history
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import FeedbackEvent, GenerationRecord, TakeRecord
from storyteller.feedback.survival import Sighting
from storyteller.feedback.writer import FeedbackWriter
from tests.stubs.feedback_story import every_file

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def events_in_library() -> list[str]:
    with FeedbackLog().reading() as connection:
        assert connection is not None
        return [event.id for found in read_history(connection) for event in found.events]


def view(generation: GenerationRecord, number: int) -> FeedbackEvent:
    return FeedbackEvent(id=f"event {number}", generation=generation.id, kind="view")


async def agreed(warnings: list[str], **log: float) -> tuple[FeedbackWriter, GenerationRecord]:
    writer = FeedbackWriter(FeedbackLog(**log), warn=warnings.append)  # type: ignore[arg-type]  # patience_s alone
    assert await writer.set_consent(EVERYTHING, on=True)
    generation = GenerationRecord(session="s", document="/novel.md")
    assert await writer.generation(generation)
    return writer, generation


async def test_what_was_answered_is_committed() -> None:
    writer, generation = await agreed([])
    assert await writer.event(view(generation, 0))
    assert events_in_library() == ["event 0"]
    assert await writer.close()


async def test_calls_take_effect_in_order_awaited_or_not() -> None:
    writer, generation = await agreed([])
    for number in range(50):
        writer.event(view(generation, number))
    assert await writer.close()
    assert events_in_library() == [f"event {number}" for number in range(50)]


async def test_a_cancelled_future_takes_no_record_back() -> None:
    writer, generation = await agreed([])
    writer.event(view(generation, 0)).cancel()
    assert await writer.event(view(generation, 1))
    assert await writer.close()
    assert events_in_library() == ["event 0", "event 1"]


async def test_sightings_are_measured_and_put_down_together() -> None:
    writer, generation = await agreed([])
    take = TakeRecord(generation=generation.id, index=0, text="She ran home.", shown=True)
    await writer.take(take)
    sightings = [
        Sighting(take.id, "15", "She ran home.", "She ran home.", 15.0),
        Sighting("nobody", "15", "x", "x", 1.0),
    ]
    assert await writer.sightings(sightings) == 1
    await writer.close()
    with FeedbackLog().reading() as connection:
        assert connection is not None
        look = read_history(connection)[0].takes[0].survival["15"]
    assert (look.kept, look.length, look.distance) == (13, 13, 0.0)


async def test_nothing_is_written_or_started_without_a_call(home: Path) -> None:
    before = threading.active_count()
    warnings: list[str] = []
    writer = FeedbackWriter(FeedbackLog(), warn=warnings.append)
    assert threading.active_count() == before
    assert await writer.close()
    assert every_file(home) == {}


async def test_after_closing_calls_do_nothing() -> None:
    writer, generation = await agreed([])
    assert await writer.close()
    assert await writer.close()
    assert not writer.working
    assert not await writer.event(view(generation, 0))
    assert await writer.consent() is False
    assert events_in_library() == []


async def test_a_failure_is_told_once_and_then_nothing_is_tried(home: Path) -> None:
    """safety 65"""
    warnings: list[str] = []
    writer, generation = await agreed(warnings, patience_s=0.05)
    blocker = sqlite3.connect(paths.library_path(), isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    results = [writer.event(view(generation, number)) for number in range(5)]
    assert [await result for result in results] == [False] * 5
    blocker.execute("ROLLBACK")
    blocker.close()
    assert not writer.working
    assert not await writer.event(view(generation, 9))
    await writer.close()
    assert len(warnings) == 1
    assert "locked" in warnings[0]
    assert "until the program starts again" in warnings[0]
    assert events_in_library() == []


async def test_the_event_loop_goes_on_while_another_process_holds_the_library() -> None:
    writer, generation = await agreed([])
    blocker = sqlite3.connect(paths.library_path(), isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    written = writer.event(view(generation, 0))
    for _ in range(1000):  # a thousand turns of the loop while the record waits
        await asyncio.sleep(0)
    assert not written.done()
    blocker.execute("ROLLBACK")
    blocker.close()
    assert await written
    assert await writer.close()


async def test_closing_does_not_wait_for_ever() -> None:
    writer, generation = await agreed([])
    blocker = sqlite3.connect(paths.library_path(), isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    written = writer.event(view(generation, 0))
    assert not await writer.close(timeout_s=0.05)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert await written  # it was not lost, only late


async def test_a_fault_of_ours_costs_no_text_and_tells_none(caplog: pytest.LogCaptureFixture) -> None:
    """safety 79"""
    warnings: list[str] = []
    writer, generation = await agreed(warnings)
    impossible = TakeRecord(generation=generation.id, index=0, text="the gardener did it", ids=(-1,))
    assert not await writer.take(impossible)
    assert "ValueError" in caplog.text
    assert "gardener" not in caplog.text
    assert not writer.working
    await writer.close()
    assert len(warnings) == 1
    assert "gardener" not in warnings[0]


async def test_a_library_set_aside_is_told_and_the_log_goes_on(home: Path) -> None:
    """safety 64"""
    warnings: list[str] = []
    paths.private_dir(paths.data_dir())
    paths.library_path().write_bytes(b"not a database, whatever else it may be" * 30)
    writer = FeedbackWriter(FeedbackLog(), warn=warnings.append)
    assert await writer.consent() is None
    assert writer.working
    assert await writer.set_consent(EVERYTHING, on=True)
    assert await writer.generation(GenerationRecord(session="s", document="/novel.md"))
    await writer.close()
    assert len(warnings) == 1
    assert "moved to" in warnings[0]


def test_a_loop_that_ended_first_is_no_trouble() -> None:
    async def write_and_leave() -> FeedbackWriter:
        writer, generation = await agreed([])
        writer.event(view(generation, 0))
        return writer

    writer = asyncio.run(write_and_leave())
    assert writer.close_now()
    assert events_in_library() == ["event 0"]
    gc.collect()


def test_the_log_costs_the_app_little_to_import() -> None:
    script = (
        "import sys, storyteller.feedback.writer, storyteller.feedback.log, storyteller.feedback.keeping;"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"rich", "typer", "textual", "torch", "numpy", "tomlkit"} & set(loaded.stdout.split())
