"""File names that hold anything a file name can hold: saved under exactly that name, shown as plain characters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storyteller.errors import DocumentError
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.lock import DocumentLock
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.save import ChangedOnDisk, SaveFailed, save
from storyteller.text import display_line
from tests.stubs.folders import names_in

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = {
    "escape": b"a\x1b]52;c;aGk=\x07b",
    "newline": b"one\ntwo\r.md",
    "markup": b"[x] [bold]",
    "closing markup": b"x]",  # its path holds "[/x]"
    "invalid utf-8": b"\xff\xfe\xc3.md",
    "c1 and bidi": "\x9b31m\u202etxt.md".encode(),
    "255 bytes": b"n" * 255,
    "255 bytes of three each": "語".encode() * 85,
    "leading dash": b"-rf",
    "spaces": b"  ",
    "dots": b"...",
    "quotes": b"\"'`$(x)",
}


@pytest.fixture(params=_NAMES.values(), ids=list(_NAMES))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "\x1b[31m["
    folder.mkdir()
    return folder / os.fsdecode(request.param)


# safety 16
def test_16_it_is_saved_under_exactly_that_name(path: Path) -> None:
    first = save(path, "one", UTF8, expected=load(path).fingerprint)
    save(path, "two", UTF8, expected=first.fingerprint)
    assert load(path).text == "two"
    assert names_in(path.parent) == [path.name]


# safety 16
def test_16_it_is_written_in_place_under_that_name_too(path: Path) -> None:
    path.write_text("old")
    (path.parent / "second").hardlink_to(path)
    saved = save(path, "new", UTF8, expected=load(path).fingerprint)
    assert path.read_text() == "new"
    assert saved.notes[0] == display_line(saved.notes[0])


# safety 16
def test_16_its_journal_and_lock_work(path: Path) -> None:
    lock = DocumentLock()
    assert lock.acquire(path) is None
    assert lock.trouble is None
    lock.release()
    journal = Journal.open(path, "", None)
    journal.update("unsaved", (0, 0))
    journal.close(discard=False)
    (recovery,) = find_recoveries(path)
    assert (recovery.document, recovery.text) == (path, "unsaved")


# safety 16
def test_16_every_message_about_it_is_plain_text(path: Path) -> None:
    messages = [ChangedOnDisk(path, "modified").message]
    path.write_text("old")
    path.chmod(0o400)
    messages.append(str(load(path).read_only))
    with pytest.raises(SaveFailed) as failed:
        save(path, "new", UTF8, expected=load(path).fingerprint)
    messages.append(failed.value.message)
    path.unlink()
    path.mkdir()
    with pytest.raises(DocumentError) as refused:
        load(path)
    messages.append(refused.value.message)
    for message in messages:
        assert message == display_line(message)
        message.encode("utf-8")


# safety 16
def test_16_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 256)
    with pytest.raises(DocumentError, match="longer than the disk allows"):
        load(path)
    with pytest.raises(SaveFailed, match="longer than the disk allows"):
        save(path, "text", UTF8, expected=None)
