"""What a run says, as lines that another process can follow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.training.events import AnyEvent, read_events, to_line
from tests.stubs.training_events import EVENTS

if TYPE_CHECKING:
    from pathlib import Path


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
