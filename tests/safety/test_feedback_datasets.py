"""Data sets are the same bytes in every process, from contradictory, doubled and badly timed feedback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storyteller.feedback.datasets import prepare
from tests.stubs.feedback_story import Story, agreed_log

if TYPE_CHECKING:
    from storyteller.feedback.log import FeedbackLog

REPOSITORY = Path(__file__).resolve().parents[2]
EXPORTING = """
import sys
from storyteller.feedback.datasets import prepare
from storyteller.feedback.log import FeedbackLog
for kind in ("sft", "preference", "unpaired"):
    for holdout in (False, True):
        sys.stdout.buffer.write(prepare(FeedbackLog(), kind, holdout=holdout).data)
"""


def contradictory(log: FeedbackLog, clock: float = 0.0) -> None:
    """Accepted then undone, refused then accepted, doubled, both at once; in forty books."""
    story = Story(log, clock=clock)
    for number in range(80):
        book = f"/books/{number % 40}.md"
        takes = story.offer(
            f"The door stood open, number {number}.",
            f"Nobody had lit the lamp, number {number}.",
            prompt=f"Prompt {number % 60}",
            document=book,
        )
        accepted = takes[number % 2]
        story.does("reject", accepted)
        story.does("accept", accepted)
        event = story.does("accept", accepted)
        assert log.event(event)
        if number % 5 == 0:
            story.does("undo_accept", accepted, after_s=3.0 if number % 10 else 30.0)
        elif number % 7 == 0:
            story.does("rate_down", accepted)
        else:
            story.stands(accepted)
        if number % 3 == 0:
            story.does("retry", takes[1 - number % 2])


def exported(hash_seed: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-c", EXPORTING],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout


def test_every_process_makes_the_same_bytes() -> None:
    """safety 71"""
    log = agreed_log()
    contradictory(log)
    log.close()
    assert exported("1") == exported("2") == exported("random")
    assert exported("1").count(b"\n") > 60


@pytest.mark.parametrize("clock", [-1e9, 3600.0, 1e11])
def test_the_clock_the_events_were_written_by_changes_no_byte(tmp_path: Path, clock: float) -> None:
    """safety 71"""
    right, wrong = agreed_log(tmp_path / "right.db"), agreed_log(tmp_path / "wrong.db")
    contradictory(right)
    contradictory(wrong, clock=clock)
    for kind in ("sft", "preference", "unpaired"):
        assert prepare(right, kind).data == prepare(wrong, kind).data


def test_no_text_of_a_held_out_document_is_trained_on() -> None:
    """safety 71"""
    log = agreed_log()
    contradictory(log)
    for kind in ("sft", "preference", "unpaired"):
        train = prepare(log, kind)
        evaluation = prepare(log, kind, holdout=True)
        lines = [set(dataset.data.splitlines()) for dataset in (train, evaluation)]
        assert lines[0]
        assert lines[0].isdisjoint(lines[1])
        assert train.dropped.get("held out", 0) == evaluation.size
        assert set(train.events).isdisjoint(evaluation.events)
    assert prepare(log, "sft", holdout=True).size > 0
