"""Saving a document where nothing goes wrong, and what a save says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storyteller.manuscript.encoding import UTF8, CannotEncode, Encoding
from storyteller.manuscript.fingerprint import fingerprint
from storyteller.manuscript.load import load
from storyteller.manuscript.save import ChangedOnDisk, SaveFailed, disk_state, save
from tests.stubs.faulty_disk import FaultyDisk
from tests.stubs.folders import names_in

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new.md"
    saved = save(path, "Once — ", UTF8, expected=None)
    assert path.read_text(encoding="utf-8") == "Once — "
    assert saved.fingerprint == fingerprint(path.stat(), path.read_bytes())
    assert saved.notes == ()


def test_saves_follow_one_another(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    known = None
    for text in ("one", "two", "three and a half"):
        known = save(path, text, UTF8, expected=known).fingerprint
        assert path.read_text() == text
    assert names_in(tmp_path) == ["a.md"]


def test_the_steps_come_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("old")
    loaded = load(path)
    disk = FaultyDisk()
    save(path, "new", UTF8, expected=loaded.fingerprint, disk=disk)
    steps = [
        "create",
        "write",
        "fsync",
        "fchmod",
        "fsync",
        "close",
        "replace",
        "open",
        "fsync folder",
        "close",
    ]
    assert disk.names() == steps


def test_the_encoding_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes("déjà".encode("latin-1"))
    loaded = load(path)
    save(path, loaded.text + " vu", loaded.encoding, expected=loaded.fingerprint)
    assert path.read_bytes() == "déjà vu".encode("latin-1")


def test_what_does_not_fit_is_not_written_and_utf8_is_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes("déjà".encode("latin-1"))
    loaded = load(path)
    with pytest.raises(CannotEncode):
        save(path, "déjà — 😀", loaded.encoding, expected=loaded.fingerprint)
    assert path.read_bytes() == "déjà".encode("latin-1")
    save(path, "déjà — 😀", UTF8, expected=loaded.fingerprint)
    assert load(path).text == "déjà — 😀"
    assert loaded.encoding == Encoding("latin-1")


def test_disk_state_tells_four_things(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    assert disk_state(path, None) == "same"
    path.write_text("old")
    assert disk_state(path, None) == "created"
    known = load(path).fingerprint
    assert disk_state(path, known) == "same"
    path.write_text("new")
    os.utime(path, ns=(1, 1))
    assert disk_state(path, known) == "modified"
    path.write_text("longer")
    assert disk_state(path, known) == "modified"
    path.unlink()
    assert disk_state(path, known) == "deleted"
    path.mkdir()
    assert disk_state(path, known) == "modified"


def test_a_touch_or_an_equal_copy_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("same")
    known = load(path).fingerprint
    os.utime(path, ns=(1, 1))
    assert disk_state(path, known) == "same"
    path.unlink()
    path.write_text("same")
    assert disk_state(path, known) == "same"
    save(path, "next", UTF8, expected=known)
    assert path.read_text() == "next"


def test_a_file_that_already_says_it_may_be_saved_again(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    save(path, "text", UTF8, expected=None)
    saved = save(path, "text", UTF8, expected=None)
    assert saved.fingerprint == fingerprint(path.stat(), b"text")


def test_a_write_protected_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("old")
    path.chmod(0o444)
    known = load(path).fingerprint
    for overwrite in (False, True):
        with pytest.raises(SaveFailed, match="write-protected"):
            save(path, "new", UTF8, expected=known, overwrite=overwrite)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.md"]


def test_errors_have_a_title_of_their_own(tmp_path: Path) -> None:
    assert str(ChangedOnDisk(tmp_path / "a", "modified")).startswith("The file changed on disk: ")
    assert str(SaveFailed("why")) == "The manuscript was not saved: why"
