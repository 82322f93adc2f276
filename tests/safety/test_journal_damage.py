"""A journal cut off or damaged anywhere gives an earlier text or none, and never a wrong one or a crash."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyteller.manuscript.journal import Journal
from storyteller.manuscript.records import replay
from storyteller.manuscript.recovery import find_recoveries

if TYPE_CHECKING:
    from pathlib import Path

_STATES = [
    "Once",
    "Once upon",
    "Once upon a time — ",
    "Once upon a time — 😀",
    "Once a time — 😀",
    "Onc\ud83de",
]


@pytest.fixture
def journal_bytes(tmp_path: Path) -> bytes:
    """The bytes of a journal that went through `_STATES`, one record each."""
    journal = Journal.open(tmp_path / "novel.md", "", None)
    for column, text in enumerate(_STATES):
        journal.update(text, (0, column))
        assert journal.flush()
    data = journal.path.read_bytes()
    journal.close(discard=True)
    return data


# safety 18
def test_18_cut_off_at_every_byte_it_gives_an_earlier_state(journal_bytes: bytes) -> None:
    last = -1
    for length in range(len(journal_bytes) + 1):
        found = replay(journal_bytes[:length])
        if found is None:
            assert last == -1
            continue
        reached = _STATES.index(found.text)
        assert reached in {last, last + 1}
        last = reached
    assert last == len(_STATES) - 1


# safety 18
def test_18_any_flipped_bit_ends_it_there(journal_bytes: bytes) -> None:
    for position in range(len(journal_bytes)):
        damaged = bytearray(journal_bytes)
        damaged[position] ^= 1 << (position % 8)
        found = replay(bytes(damaged))
        if found is not None:
            assert found.text in _STATES[:-1]
            assert not found.complete


# safety 18
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_18_any_other_damage_is_found_too(journal_bytes: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(journal_bytes)))
    end = data.draw(st.integers(start, min(start + 200, len(journal_bytes))))
    damaged = journal_bytes[:start] + data.draw(st.binary(max_size=64)) + journal_bytes[end:]
    found = replay(damaged)
    if found is not None:
        assert found.text in _STATES
        assert not found.complete or journal_bytes.startswith(damaged)


# safety 18
def test_18_a_damaged_journal_on_disk_is_offered_as_far_as_it_goes(
    tmp_path: Path, journal_bytes: bytes
) -> None:
    place = _leave_journal(tmp_path / "novel.md")
    place.write_bytes(journal_bytes[:-3])
    (recovery,) = find_recoveries(tmp_path / "novel.md")
    assert (recovery.text, recovery.complete) == (_STATES[-2], False)
    assert recovery.note is not None
    assert "may be missing" in recovery.note


# safety 18
@pytest.mark.parametrize("content", [b"", b"garbage", b"storyteller journal 1\n", b"\0" * 5000])
def test_18_an_unreadable_journal_is_skipped_with_one_message_and_kept_aside(
    tmp_path: Path, content: bytes
) -> None:
    document = tmp_path / "novel.md"
    place = _leave_journal(document)
    place.write_bytes(content)
    messages: list[str] = []
    assert find_recoveries(document, on_skipped=messages.append) == []
    assert len(messages) == 1
    assert "damaged" in messages[0]
    assert place.with_suffix(".damaged").read_bytes() == content
    assert find_recoveries(document, on_skipped=messages.append) == []
    assert len(messages) == 1


# safety 18
def test_18_a_journal_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    place = _leave_journal(document)
    place.write_bytes(b"storyteller journal 2\nsomething else")
    messages: list[str] = []
    assert find_recoveries(document, on_skipped=messages.append) == []
    assert "another version" in messages[0]
    assert place.exists()


# safety 18
def test_18_a_pipe_or_folder_in_a_journal_s_place_does_not_hang(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    place = _leave_journal(document)
    place.unlink()
    os.mkfifo(place)
    assert find_recoveries(document) == []
    place.unlink()
    place.mkdir()
    messages: list[str] = []
    assert find_recoveries(document, on_skipped=messages.append) == []
    assert os.strerror(errno.EISDIR) in messages[0]


def _leave_journal(document: Path) -> Path:
    journal = Journal.open(document, "", None)
    journal.update("x", (0, 0))
    journal.close(discard=False)
    assert journal.path.exists()
    return journal.path
