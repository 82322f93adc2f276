"""The journal of one document, from the first word to the end of the session."""

from __future__ import annotations

import errno
import os
import signal
import stat
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyteller import paths
from storyteller.manuscript import journal as journal_module
from storyteller.manuscript import journal_file
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.fingerprint import fingerprint
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.records import replay
from storyteller.manuscript.save import save
from tests.stubs.faulty_disk import FaultyDisk, Gate
from tests.stubs.folders import names_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("Once")
    return path


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def journal(document: Path, disk: FaultyDisk) -> Iterator[Journal]:
    opened = Journal.open(document, "Once", load(document).fingerprint, disk=disk)
    yield opened
    disk.heal()
    opened.close(discard=True)


def _text(journal: Journal) -> str | None:
    if not journal.path.exists():
        return None
    replayed = replay(journal.path.read_bytes())
    assert replayed is not None
    assert replayed.complete
    return replayed.text


def test_nothing_is_written_while_nothing_changes(journal: Journal) -> None:
    journal.update("Once", (0, 2))
    assert journal.flush()
    assert not journal.path.exists()


def test_a_change_reaches_the_disk_by_itself_within_a_second(journal: Journal, disk: FaultyDisk) -> None:
    synced = Gate()
    disk.before("fsync folder", synced, nth=disk.names().count("fsync folder") + 1)
    started = time.monotonic()
    journal.update("Once upon", (0, 9))
    assert synced.reached.wait(10)
    assert time.monotonic() - started < 2.0  # 0.6 s and a write, on a busy machine
    synced.opened.set()
    assert journal.flush()
    assert _text(journal) == "Once upon"


def test_a_hundred_characters_do_not_wait(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_DELAY_S", 3600.0)
    reached = threading.Event()
    start = journal._file.write

    def watched(*given: object) -> None:
        start(*given)  # type: ignore[arg-type]  # passed on as they came
        reached.set()

    monkeypatch.setattr(journal._file, "write", watched)
    text = "Once"
    for _ in range(99):
        text += "x"
        journal.update(text, (0, len(text)))
    assert not reached.wait(0.05)
    journal.update(text + "x", (0, 0))
    assert reached.wait(10)


def test_the_file_is_private_and_says_whose_it_is(journal: Journal, document: Path) -> None:
    old = os.umask(0)
    try:
        journal.update("Once upon", (3, 4))
        assert journal.flush()
    finally:
        os.umask(old)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    assert journal.path.parent == paths.journal_dir()
    replayed = replay(journal.path.read_bytes())
    assert replayed is not None
    assert replayed.header.document == os.fsencode(document)
    assert replayed.header.on_disk == fingerprint(document.stat(), b"Once")
    assert replayed.header.process.pid == os.getpid()
    assert replayed.cursor == (3, 4)


def test_a_save_takes_the_journal_away(journal: Journal, document: Path) -> None:
    journal.update("Once upon", (0, 0))
    assert journal.flush()
    saved = save(document, "Once upon", UTF8, expected=load(document).fingerprint)
    journal.saved("Once upon", saved.fingerprint)
    assert journal.flush()
    assert not journal.path.exists()


def test_what_was_typed_during_a_save_stays_in_the_journal(journal: Journal, document: Path) -> None:
    journal.update("Once upon", (0, 0))
    saved = save(document, "Once upon", UTF8, expected=load(document).fingerprint)
    journal.update("Once upon a", (0, 0))
    journal.saved("Once upon", saved.fingerprint)
    assert journal.flush()
    replayed = replay(journal.path.read_bytes())
    assert replayed is not None
    assert replayed.text == "Once upon a"
    assert replayed.header.on_disk == saved.fingerprint


def test_closing_keeps_or_discards(document: Path) -> None:
    for discard in (True, False):
        journal = Journal.open(document, "Once", None)
        journal.update("Once upon", (0, 0))
        journal.close(discard=discard)
        assert journal.path.exists() is not discard
        journal.update("Once upon a time", (0, 0))
        journal.close(discard=True)
        assert journal.path.exists() is not discard


def test_closing_with_nothing_unsaved_leaves_nothing(journal: Journal) -> None:
    journal.update("Once upon", (0, 0))
    assert journal.flush()
    journal.update("Once", (0, 0))
    journal.close(discard=False)
    assert not journal.path.exists()


def test_a_removed_file_is_written_anew(journal: Journal) -> None:
    journal.update("Once upon", (0, 0))
    assert journal.flush()
    journal.path.unlink()
    journal.update("Once upon a", (0, 0))
    assert journal.flush()
    assert _text(journal) == "Once upon a"


def test_a_long_journal_is_started_over(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "_MOST_DELTAS", 4)
    sizes = []
    for number in range(12):
        journal.update(f"Once {number}", (0, 0))
        assert journal.flush()
        assert _text(journal) == f"Once {number}"
        sizes.append(journal.path.stat().st_size)
    assert max(sizes) == sizes[4] == sizes[9]


def test_a_journal_that_outgrows_its_text_is_started_over(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "_MOST_DELTA_BYTES", 5000)
    for number in range(40):
        journal.update(str(number) * 500, (0, 0))
        assert journal.flush()
        assert _text(journal) == str(number) * 500
        assert journal.path.stat().st_size < 9000


@given(st.lists(st.text(st.characters(codec=None), max_size=6), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_whatever_is_typed_can_be_read_back(document: Path, texts: list[str]) -> None:
    journal = Journal.open(document, "", None)
    try:
        for text in texts:
            journal.update(text, (0, 0))
            assert journal.flush()
            assert (_text(journal) or "") == text
    finally:
        journal.close(discard=True)


@pytest.mark.parametrize("call", ["create", "write", "fsync", "replace", "fsync folder"])
def test_a_first_write_that_fails_is_trouble_and_is_tried_again(
    journal: Journal, disk: FaultyDisk, call: str
) -> None:
    if call == "fsync folder":
        paths.private_dir(paths.journal_dir())
    disk.fail(call, errno.ENOSPC)
    journal.update("Once upon", (0, 0))
    assert not journal.flush()
    assert "No space left" in str(journal.trouble)
    assert journal.flush()
    assert journal.trouble is None
    assert _text(journal) == "Once upon"
    assert names_in(journal.path.parent) == [journal.path.name]


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_a_later_write_that_fails_leaves_the_journal_readable(
    journal: Journal, disk: FaultyDisk, call: str
) -> None:
    journal.update("Once upon", (0, 0))
    assert journal.flush()
    disk.fail(call, errno.EIO)
    disk.fail("create", errno.EIO)
    journal.update("Once upon a", (0, 0))
    assert not journal.flush()
    assert _text(journal) in {"Once upon", "Once upon a"}
    journal.update("Once upon a time", (0, 0))
    while not journal.flush():
        pass
    assert _text(journal) == "Once upon a time"


def test_after_a_failed_sync_the_journal_is_a_new_file(journal: Journal, disk: FaultyDisk) -> None:
    journal.update("Once upon", (0, 0))
    assert journal.flush()
    before = journal.path.stat().st_ino
    disk.fail("fsync", errno.EIO)
    journal.update("Once upon a", (0, 0))
    assert not journal.flush()
    assert journal.flush()
    assert journal.path.stat().st_ino != before
    assert _text(journal) == "Once upon a"


def test_half_a_record_is_taken_back(journal: Journal, document: Path) -> None:
    journal.close(discard=True)
    disk = FaultyDisk(longest_write=10)
    journal = Journal.open(document, "Once", None, disk=disk)
    journal.update("Once upon", (0, 0))
    assert journal.flush()
    disk.fail("pwrite", errno.ENOSPC, nth=2)
    journal.update("Once upon a time", (0, 0))
    assert not journal.flush()
    assert _text(journal) == "Once upon"
    assert journal.flush()
    assert _text(journal) == "Once upon a time"
    journal.close(discard=True)


def test_trouble_is_said_once_and_retried_later(
    journal: Journal, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_RETRY_S", 0.01)
    healed = Gate()
    disk.fail("create", errno.ENOSPC, times=1)
    disk.fail("create", errno.EIO, nth=2)
    disk.before("create", healed, nth=3)
    journal.update("Once upon", (0, 0))
    assert healed.reached.wait(10)
    assert journal.trouble is not None
    assert "No space left" in journal.trouble
    healed.opened.set()
    assert journal.flush()
    assert journal.trouble is None


def test_flush_gives_up_on_a_disk_that_hangs(journal: Journal, disk: FaultyDisk) -> None:
    gate = Gate()
    disk.before("fsync", gate)
    journal.update("Once upon", (0, 0))
    assert not journal.flush(timeout_s=0.05)
    gate.opened.set()
    assert journal.flush()


def test_a_signal_handler_may_flush_during_an_update(journal: Journal) -> None:
    flushed: list[bool] = []
    old = signal.signal(signal.SIGUSR1, lambda *_: flushed.append(journal.flush()))
    try:
        with journal._changed:  # as if the signal came in the middle of an update
            journal.update("Once upon", (0, 0))
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert flushed == [True]
    assert _text(journal) == "Once upon"


def test_an_update_of_a_long_novel_is_quick(journal: Journal) -> None:
    novel = "“Word,” she said. " * 33_000
    journal.update(novel, (0, 0))
    assert journal.flush()
    times = []
    for place in range(0, len(novel), len(novel) // 50):
        edited = novel[:place] + "x" + novel[place:]
        started = time.perf_counter()
        journal.update(edited, (0, place))
        times.append(time.perf_counter() - started)
    assert sorted(times)[len(times) // 2] < 0.002


def test_journals_of_one_document_never_share_a_file(document: Path) -> None:
    journals = [Journal.open(document, "", None) for _ in range(3)]
    generations = []
    for journal in journals:
        journal.update("text", (0, 0))
        assert journal.flush()
        replayed = replay(journal.path.read_bytes())
        assert replayed is not None
        generations.append(replayed.header.generation)
    assert generations == [1, 2, 3]
    assert len({journal.path for journal in journals}) == 3
    for journal in journals:
        journal.close(discard=True)
