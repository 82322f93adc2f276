"""What a run says, as lines that another process can follow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.training.events import (
    AnyEvent,
    Checkpointed,
    Evaluated,
    Failed,
    Finished,
    Paused,
    Planned,
    Resumed,
    Said,
    Sampled,
    Stepped,
    Stopped,
    read_events,
    to_line,
)

if TYPE_CHECKING:
    from pathlib import Path

EVENTS: tuple[AnyEvent, ...] = (
    Planned(
        genre="poetry", base="tiny", device="cpu", dtype="float32", documents=11, held_out_documents=1, tokens=830,
        held_out_tokens=72, steps=6, epochs=0.5, batch=4, micro_batch=4, seq=16, rank=2, alpha=8.0, dropout=0.05,
        rate=0.01, parameters=3072, warnings=("Little text.",),
    ),
    Resumed(step=3),
    Stepped(
        step=4, steps=6, loss=7.25, rate=0.01, gradient=2.5, tokens_per_s=6400.0, seconds_left=0.5, memory_gb=0.7
    ),
    Evaluated(step=4, perplexity=1300.5, best=True),
    Sampled(step=4, prompt="The sea", text=" “Who\nis there?” 日本\x1b[31m\u2028"),
    Checkpointed(step=4),
    Said(message="There was not enough memory."),
    Paused(paused=True),
    Stopped(step=4),
    Failed(message="the disk"),
    Finished(
        adapter="poetry", version="v0001", path="/a", step=6, base_perplexity=1682.9, perplexity=1189.8, seconds=0.1,
        reason="all steps done",
    ),
)  # fmt: skip


def read(path: Path, offset: int = 0) -> list[AnyEvent]:
    return [event for _, event in read_events(path, offset)]


def test_every_event_is_one_line_and_comes_back(tmp_path: Path) -> None:
    lines = [to_line(event) for event in EVENTS]
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert len({json.loads(line)["event"] for line in lines}) == len(EVENTS)
    (tmp_path / "events").write_bytes(b"".join(lines))
    assert read(tmp_path / "events") == list(EVENTS)


def test_no_file_no_events(tmp_path: Path) -> None:
    assert read(tmp_path / "events") == []


@given(cuts=st.lists(st.integers(0, sum(len(to_line(event)) for event in EVENTS)), max_size=8))
def test_a_reader_that_looks_now_and_then_gets_every_event_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    data = b"".join(map(to_line, EVENTS))
    path = tmp_path_factory.mktemp("follow") / "events"
    offset, got, written = 0, [], 0
    for cut in [*sorted(cuts), len(data)]:
        with path.open("ab") as stream:
            stream.write(data[written:cut])
        written = max(written, cut)
        for after, event in read_events(path, offset):
            offset = after
            got.append(event)
    assert got == list(EVENTS)
    assert offset == len(data)


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"null", b'{"event":"step"}', b'{"event":"unheard of"}', b"\0\0\0", b'{"event":"said","message":"\xff"}',
     b"[" * 100_000, b'{"event":"resumed","step":3}{"event":"resumed"'],
    ids=lambda damage: repr(damage[:20]),
)  # fmt: skip
def test_a_damaged_line_is_left_out(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "events").write_bytes(to_line(EVENTS[0]) + damage + b"\n" + to_line(EVENTS[1]))
    assert read(tmp_path / "events") == list(EVENTS[:2])
