"""Disks that fail and places where one may not write: said clearly, with nothing half done."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from storyteller.liveness import this_process
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.fingerprint import fingerprint
from storyteller.manuscript.load import load
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.save import SaveFailed, save
from storyteller.paths import journal_dir
from tests.stubs.confined import run_as_plain_user, run_with_small_disk
from tests.stubs.faulty_disk import FaultyDisk
from tests.stubs.folders import names_in, open_folder

if TYPE_CHECKING:
    from pathlib import Path


# safety 10
def test_10_a_failed_sync_is_no_save_and_the_next_one_uses_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    known = load(path).fingerprint
    disk = FaultyDisk()
    disk.fail("fsync", errno.EIO)
    with pytest.raises(SaveFailed, match="The disk failed") as caught:
        save(path, "new", UTF8, expected=known, disk=disk)
    assert caught.value.on_disk is None
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["novel.md"]
    save(path, "new", UTF8, expected=known, disk=disk)
    first, second = [call.path for call in disk.calls if call.name == "create"]
    assert first != second
    assert path.read_text() == "new"


# safety 10
def test_10_a_folder_that_fails_to_sync_is_no_save_but_the_version_is_known(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    known = load(path).fingerprint
    disk = FaultyDisk()
    disk.fail("fsync folder", errno.EIO)
    with pytest.raises(SaveFailed) as caught:
        save(path, "new", UTF8, expected=known, disk=disk)
    assert caught.value.on_disk == fingerprint(path.stat(), b"new")
    save(path, "newer", UTF8, expected=caught.value.on_disk)
    assert path.read_text() == "newer"


# safety 10
@pytest.mark.parametrize("call", ["pwrite", "ftruncate", "fsync"])
def test_10_a_disk_that_fails_while_writing_in_place_gets_the_old_text_back(
    tmp_path: Path, call: str
) -> None:
    path = tmp_path / "novel.md"
    path.write_text("the old text")
    (tmp_path / "second.md").hardlink_to(path)
    disk = FaultyDisk()
    disk.fail(call, errno.EIO, nth=2 if call == "fsync" else 1)  # the first sync is the copy's
    with pytest.raises(SaveFailed, match="The disk failed"):
        save(path, "a new text, and a longer one", UTF8, expected=load(path).fingerprint, disk=disk)
    assert path.read_text() == "the old text"
    assert names_in(journal_dir()) == [], "its copy is not needed any more, whatever the file holds later"


def _torn(tmp_path: Path) -> Path:
    """A file that a failing disk left half written, its old text in a copy."""
    path = tmp_path / "novel.md"
    path.write_text("the old text")
    (tmp_path / "second.md").hardlink_to(path)
    disk = FaultyDisk()
    disk.fail("pwrite", errno.EIO, nth=2, times=9)
    with pytest.raises(SaveFailed, match="The disk failed"):
        save(path, "a new text, and a longer one", UTF8, expected=load(path).fingerprint, disk=disk)
    return path


# safety 10
def test_10_what_cannot_be_put_back_is_offered_from_its_copy(tmp_path: Path) -> None:
    (recovery,) = find_recoveries(_torn(tmp_path))
    assert recovery.text == "the old text"


# safety 10
def test_10_what_was_put_right_by_a_later_save_is_not_offered_again(tmp_path: Path) -> None:
    path = _torn(tmp_path)
    known = save(path, "a new text", UTF8, expected=None, overwrite=True).fingerprint
    save(path, "a newer text", UTF8, expected=known)
    assert find_recoveries(path) == []
    assert names_in(journal_dir()) == []


# safety 10
def test_10_the_copy_of_another_run_is_left_for_its_writer_to_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _torn(tmp_path)
    later = msgspec.structs.replace(this_process(), started="later")
    monkeypatch.setattr("storyteller.manuscript.in_place.this_process", lambda: later)
    save(path, "a new text", UTF8, expected=None, overwrite=True)
    (recovery,) = find_recoveries(path)
    assert recovery.text == "the old text"


# safety 11
def test_11_a_file_that_is_a_mount_of_its_own_gets_the_text_in_place() -> None:
    script = """
import subprocess, sys
from pathlib import Path
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import save

disk = Path(sys.argv[1])
(disk / "real.md").write_text("old")
(disk / "novel.md").touch()
subprocess.run(["mount", "--bind", disk / "real.md", disk / "novel.md"], check=True)
save(disk / "novel.md", "new", UTF8, expected=load(disk / "novel.md").fingerprint)
print((disk / "real.md").read_text(), sorted(path.name for path in disk.iterdir()))
"""
    assert run_with_small_disk(script) == "new ['novel.md', 'real.md']\n"


# safety 10
@pytest.mark.parametrize("call", ["create", "write", "fsync", "replace", "read"])
def test_10_without_a_copy_nothing_is_written_in_place(tmp_path: Path, call: str) -> None:
    path = tmp_path / "novel.md"
    path.write_text("the old text")
    (tmp_path / "second.md").hardlink_to(path)
    known = load(path).fingerprint
    disk = FaultyDisk()
    disk.before("create", lambda _: disk.fail(call, errno.EIO)) if call != "create" else disk.fail(
        call, errno.EIO
    )
    with pytest.raises(SaveFailed, match="no copy of it could be kept"):
        save(path, "a new text", UTF8, expected=known, disk=disk)
    assert path.read_text() == "the old text"
    assert [call.name for call in disk.calls if call.path == path and call.name == "write"] == []


# safety 11
def test_11_a_read_only_disk_is_said_when_opening_and_when_saving() -> None:
    script = """
import subprocess, sys
from pathlib import Path
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import SaveFailed, save

disk = Path(sys.argv[1])
(disk / "novel.md").write_text("old")
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
print(load(disk / "novel.md").read_only)
print(load(disk / "new.md").read_only)
for name in ("novel.md", "new.md"):
    try:
        save(disk / name, "new", UTF8, expected=load(disk / name).fingerprint)
    except SaveFailed as failed:
        print(failed.message)
assert (disk / "novel.md").read_text() == "old"
"""
    said = run_with_small_disk(script).splitlines()
    assert said[0] == "“novel.md” is on a disk that cannot be written."
    assert "does not let you make files in it" in said[1]
    assert said[2].startswith("“novel.md” is on a disk that cannot be written. Save it under another name")
    assert len(said) == 4


_IMPORTS = """
import os, sys
from pathlib import Path
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import SaveFailed, save
"""
_TRY = """
path = Path(sys.argv[1])
loaded = load(path)
try:
    save(path, "new", UTF8, expected=loaded.fingerprint)
    print("saved")
except SaveFailed as failed:
    print(failed.message)
print(loaded.read_only)
"""


# safety 11
def test_11_a_folder_closed_to_new_files_gets_the_text_in_place() -> None:
    with open_folder() as folder:
        path = folder / "novel.md"
        path.write_text("old")
        path.chmod(0o666)
        inode = path.stat().st_ino
        folder.chmod(0o555)
        assert run_as_plain_user(_IMPORTS, _TRY, path).splitlines() == ["saved", "None"]
        folder.chmod(0o755)
        assert (path.read_text(), path.stat().st_ino) == ("new", inode)
        assert names_in(folder) == ["novel.md"]


# safety 11
def test_11_a_new_file_where_none_may_be_made_is_refused() -> None:
    with open_folder() as folder:
        folder.chmod(0o555)
        said = run_as_plain_user(_IMPORTS, _TRY, folder / "novel.md").splitlines()
        assert "does not let you make files in it" in said[0]
        assert "does not let you make files in it" in said[1]
        assert names_in(folder) == []


# safety 11
def test_11_someone_else_s_file_is_refused_though_its_folder_is_open() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make another's file")
    with open_folder() as folder:
        path = folder / "novel.md"
        path.write_text("old")
        path.chmod(0o644)
        assert "is write-protected" in run_as_plain_user(_IMPORTS, _TRY, path)
        assert path.read_text() == "old"
        assert names_in(folder) == ["novel.md"]


# safety 11
def test_11_a_file_one_may_not_read_is_not_opened() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make another's file")
    with open_folder() as folder:
        path = folder / "novel.md"
        path.write_text("secret")
        path.chmod(0o600)
        script = _TRY.replace(
            "loaded = load(path)",
            """
try:
    load(path)
except Exception as refused:
    sys.exit(print(type(refused).__name__, refused.message))""",
        )
        assert run_as_plain_user(_IMPORTS, script, path).startswith(
            "DocumentError “novel.md” is closed to you."
        )
