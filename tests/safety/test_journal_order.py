"""Which text wins: never an older one, whatever the clock says and whoever finishes last."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from storyteller import paths
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.records import replay
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.save import save
from tests.stubs.faulty_disk import FaultyDisk, Gate

if TYPE_CHECKING:
    from pathlib import Path


def _text(journal: Journal) -> str:
    replayed = replay(journal.path.read_bytes())
    assert replayed is not None
    return replayed.text


# safety 19
def test_19_a_crash_between_a_save_and_its_end_asks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    loaded = load(path)
    journal = Journal.open(path, "old", loaded.fingerprint)
    journal.update("old and new", (0, 0))
    assert journal.flush()
    save(path, "old and new", UTF8, expected=loaded.fingerprint)
    journal.close(discard=False)  # `saved` was never said
    assert journal.path.exists()
    assert find_recoveries(path) == []
    assert not journal.path.exists()


# safety 19
def test_19_a_journal_older_than_the_file_is_not_worth_a_question_but_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    journal = Journal.open(path, "old", load(path).fingerprint)
    journal.update("old, unsaved", (0, 0))
    journal.close(discard=False)
    path.write_text("rewritten elsewhere since")
    later = journal.path.stat().st_mtime_ns + 1
    os.utime(path, ns=(later, later))
    assert find_recoveries(path) == []
    (recovery,) = find_recoveries(path, include_older=True)
    assert (recovery.text, recovery.older) == ("old, unsaved", True)
    assert recovery.note == "The file was changed after this text was written."


# safety 19
def test_19_a_file_touched_since_is_not_newer(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    journal = Journal.open(path, "old", load(path).fingerprint)
    journal.update("old, unsaved", (0, 0))
    journal.close(discard=False)
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    assert [recovery.text for recovery in find_recoveries(path)] == ["old, unsaved"]


# safety 20
@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_20_a_write_held_up_on_its_way_does_not_undo_a_newer_one(tmp_path: Path, call: str) -> None:
    disk, gate = FaultyDisk(), Gate()
    journal = Journal.open(tmp_path / "novel.md", "", None, disk=disk)
    disk.before(call, gate)
    journal.update("older", (0, 0))
    assert not journal.flush(timeout_s=0.01)
    assert gate.reached.wait(10)
    journal.update("newer", (0, 0))
    gate.opened.set()
    assert journal.flush()
    assert _text(journal) == "newer"
    journal.close(discard=True)


# safety 20
@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_20_a_write_held_up_past_a_clean_close_leaves_no_file(tmp_path: Path, call: str) -> None:
    disk, gate = FaultyDisk(), Gate()
    journal = Journal.open(tmp_path / "novel.md", "", None, disk=disk)
    disk.before(call, gate)
    journal.update("typed", (0, 0))
    assert not journal.flush(timeout_s=0.01)
    assert gate.reached.wait(10)
    journal.close(discard=True, timeout_s=0.01)
    gate.opened.set()
    journal._thread.join(10)
    assert list(paths.journal_dir().iterdir()) == []
    assert find_recoveries(tmp_path / "novel.md") == []


# safety 20
def test_20_a_session_that_wakes_up_late_does_not_touch_a_later_one_s_journal(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    disk, gate = FaultyDisk(), Gate()
    early = Journal.open(path, "", None, disk=disk)
    disk.before("replace", gate)
    early.update("of the early session", (0, 0))
    assert not early.flush(timeout_s=0.01)
    assert gate.reached.wait(10)
    late = Journal.open(path, "", None)
    late.update("of the late session", (0, 0))
    assert late.flush()
    gate.opened.set()
    assert early.flush()
    assert (_text(early), _text(late)) == ("of the early session", "of the late session")
    early.close(discard=True)
    late.close(discard=True)


# safety 22
def test_22_a_clock_set_back_changes_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    now = time.time()
    for text, clock in (("first", now), ("second", now - 86400), ("third", now - 2 * 86400)):
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        journal = Journal.open(path, "old", load(path).fingerprint)
        journal.update(text + ", half", (0, 0))
        assert journal.flush()
        monkeypatch.setattr(time, "time", lambda clock=clock: clock - 3600)  # summer time ends
        journal.update(text, (0, 0))
        assert journal.flush()
        journal.close(discard=False)
        os.utime(journal.path, (clock, clock))
    assert [recovery.text for recovery in find_recoveries(path)] == ["third", "second", "first"]


# safety 22
def test_22_a_clock_set_back_after_the_last_save_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    journal = Journal.open(path, "old", load(path).fingerprint)
    journal.update("old, unsaved", (0, 0))
    journal.close(discard=False)
    yesterday = time.time() - 86400
    os.utime(journal.path, (yesterday, yesterday))
    assert [recovery.text for recovery in find_recoveries(path)] == ["old, unsaved"]


# safety 22
def test_22_waiting_uses_a_clock_that_is_never_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, written = FaultyDisk(), Gate()
    written.opened.set()
    journal = Journal.open(tmp_path / "novel.md", "", None, disk=disk)
    disk.before("fsync", written)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    journal.update("typed", (0, 0))
    assert written.reached.wait(10)
    journal.close(discard=True)
