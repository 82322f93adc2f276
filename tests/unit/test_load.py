"""Opening a document."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storyteller.atomic import temporary_name
from storyteller.errors import DocumentError
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.fingerprint import document_key, fingerprint
from storyteller.manuscript.load import MAX_BYTES, load, read_steadily
from tests.stubs.faulty_disk import FaultyDisk


def test_a_file_gives_its_exact_text_and_version(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_bytes(b"One.\r\n\x0cTwo.\n\r")
    loaded = load(path)
    assert loaded.text == "One.\r\n\x0cTwo.\n\r"
    assert loaded.encoding == UTF8
    assert loaded.fingerprint == fingerprint(path.stat(), path.read_bytes())
    assert loaded.fingerprint is not None
    assert loaded.fingerprint.matches(path.stat())
    assert loaded.read_only is None


def test_a_file_that_is_not_there_is_an_empty_document(tmp_path: Path) -> None:
    loaded = load(tmp_path / "new.md")
    assert (loaded.text, loaded.fingerprint, loaded.read_only) == ("", None, None)


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(Path("new.md")).path == tmp_path / "new.md"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"The folder of “a\.md” does not exist"):
        load(tmp_path / "nowhere" / "a.md")
    (tmp_path / "file").touch()
    with pytest.raises(DocumentError, match=r"The folder of “a\.md” does not exist"):
        load(tmp_path / "file" / "a.md")


def test_a_write_protected_file_opens_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("text")
    path.chmod(0o444)
    assert load(path).read_only == "“novel.md” is write-protected."


def test_a_file_larger_than_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.md"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(DocumentError, match="larger than 64 MB"):
        load(path)


def test_a_nul_in_the_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="NUL"):
        load(Path(f"{tmp_path}/a\0b"))


# safety 17
def test_17_what_an_interrupted_save_left_is_no_document(tmp_path: Path) -> None:
    path = tmp_path / temporary_name(tmp_path / "novel.md")
    path.write_text("half a nov")
    link = tmp_path / "link.md"
    link.symlink_to(path.name)
    for name in (path, link):
        with pytest.raises(DocumentError, match="interrupted save"):
            load(name)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    disk = FaultyDisk()
    disk.before("read", lambda _: _append(path, " and more"), nth=2)
    data, status = read_steadily(path, disk)
    assert data == b"old and more"
    assert status.st_size == len(data)


def test_every_spelling_of_a_path_has_one_key(tmp_path: Path) -> None:
    (tmp_path / "novel.md").touch()
    (tmp_path / "link.md").symlink_to("novel.md")
    assert document_key(tmp_path / "link.md") == document_key(tmp_path / "x" / ".." / "novel.md")
    assert document_key(tmp_path / "other.md") != document_key(tmp_path / "novel.md")


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)
