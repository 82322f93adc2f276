"""What is offered after a crash, to whom, and in which order."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from storyteller import paths
from storyteller.manuscript.encoding import UTF8, Encoding
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.recovery import discard, find_recoveries
from storyteller.manuscript.save import save
from tests.stubs.confined import run_with_small_disk
from tests.stubs.faulty_disk import FaultyDisk

if TYPE_CHECKING:
    from pathlib import Path


def _crash(document: Path | None, base: str, text: str, encoding: Encoding = UTF8) -> None:
    """Leave what a session leaves that ends without a save."""
    known = None if document is None else load(document).fingerprint
    journal = Journal.open(document, base, known, encoding=encoding)
    journal.update(text, (1, 2))
    journal.close(discard=False)
    assert journal.path.exists()


def test_unsaved_text_is_offered_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    document.write_bytes("déjà".encode("latin-1"))
    _crash(document, "déjà", "déjà vu", Encoding("latin-1"))
    (recovery,) = find_recoveries(document)
    assert (recovery.document, recovery.text, recovery.cursor) == (document, "déjà vu", (1, 2))
    assert recovery.encoding == Encoding("latin-1")
    assert (recovery.kind, recovery.complete, recovery.older, recovery.note) == ("unsaved", True, False, None)
    assert document.read_bytes() == "déjà".encode("latin-1")


def test_the_newest_comes_first_and_a_discarded_one_no_more(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    for text in ("first", "second", "third"):
        _crash(document, "", text)
    found = find_recoveries(document)
    assert [recovery.text for recovery in found] == ["third", "second", "first"]
    discard(found[0])
    discard(found[0])
    assert [recovery.text for recovery in find_recoveries(document)] == ["second", "first"]


def test_documents_do_not_see_each_other_s(tmp_path: Path) -> None:
    _crash(tmp_path / "a.md", "", "a")
    _crash(None, "", "untitled")
    assert find_recoveries(tmp_path / "b.md") == []
    assert [recovery.text for recovery in find_recoveries(tmp_path / "a.md")] == ["a"]


def test_without_a_document_come_those_without_a_name_and_those_whose_file_is_gone(tmp_path: Path) -> None:
    (tmp_path / "here.md").touch()
    (tmp_path / "moved.md").touch()
    _crash(tmp_path / "here.md", "", "here")
    _crash(tmp_path / "moved.md", "", "moved")
    _crash(None, "", "untitled")
    (tmp_path / "moved.md").rename(tmp_path / "elsewhere.md")
    found = find_recoveries(None)
    assert {(recovery.document, recovery.text) for recovery in found} == {
        (None, "untitled"),
        (tmp_path / "moved.md", "moved"),
    }
    assert {recovery.note for recovery in found} == {None, "The file itself is gone."}


def test_a_journal_being_written_is_not_offered(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    journal = Journal.open(document, "", None)
    journal.update("text", (0, 0))
    assert journal.flush()
    assert find_recoveries(document) == []
    journal.close(discard=False)
    assert len(find_recoveries(document)) == 1


def test_without_locks_the_process_in_the_header_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    document = tmp_path / "novel.md"
    _crash(document, "", "text")
    assert find_recoveries(document) == []  # this very process wrote it, and it runs
    monkeypatch.setattr("storyteller.manuscript.recovery.is_alive", lambda _process: False)
    assert len(find_recoveries(document)) == 1


def test_the_text_survives_a_file_replaced_meanwhile(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    document.write_text("one two three")
    _crash(document, "one two three", "one two three four")
    other = tmp_path / "other"
    other.write_text("quite another text")
    os.utime(other, (1, 1))
    other.replace(document)
    (recovery,) = find_recoveries(document)
    assert recovery.text == "one two three four"
    assert recovery.note == "The file was changed before this text was written."


def test_an_interrupted_save_in_place_offers_the_text_before_it(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    document.write_text("the old text")
    (tmp_path / "second name.md").hardlink_to(document)
    known = load(document).fingerprint
    _die_while_saving(document, "a new and longer text")
    assert document.read_text() == "the oldnger text"
    (recovery,) = find_recoveries(document)
    assert (recovery.text, recovery.kind) == ("the old text", "before")
    assert recovery.note is not None
    assert "interrupted" in recovery.note
    save(document, recovery.text, UTF8, expected=known, overwrite=True)
    assert find_recoveries(document) == []
    assert list(paths.journal_dir().iterdir()) == []


class _Death(BaseException):
    """What no handler of ours may catch: the process ends here."""


def _die_while_saving(document: Path, text: str) -> None:
    def tear(path: Path) -> None:
        if path == document:
            with document.open("r+b") as file:
                file.seek(7)
                file.write(b"nger text")
            raise _Death

    disk = FaultyDisk()
    disk.before("pwrite", tear)
    with pytest.raises(_Death):
        save(document, text, UTF8, expected=load(document).fingerprint, disk=disk)


def test_what_lies_on_a_disk_that_went_read_only_can_still_be_recovered() -> None:
    script = """
import os, subprocess, sys
from pathlib import Path
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.recovery import discard, find_recoveries
disk = Path(sys.argv[1])
os.environ["STORYTELLER_HOME"] = str(disk / "home")
journal = Journal.open(disk / "novel.md", "", None)
journal.update("unsaved", (0, 0))
journal.close(discard=False)
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
(recovery,) = find_recoveries(disk / "novel.md")
discard(recovery)
print(recovery.text)
"""
    assert run_with_small_disk(script) == "unsaved\n"
