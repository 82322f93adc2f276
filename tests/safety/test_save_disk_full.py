"""A disk without room: the error is shown, the old file is whole, and the text goes nowhere but stays in memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import SaveFailed, save
from tests.stubs.confined import run_script, run_with_small_disk
from tests.stubs.faulty_disk import FaultyDisk
from tests.stubs.folders import names_in

_FILL = """
import os, sys
from pathlib import Path
disk = Path(sys.argv[1])
os.environ["STORYTELLER_HOME"] = str(disk / "home")
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.save import SaveFailed, save

novel = disk / "novel.md"
known = save(novel, "old " * 5000, UTF8, expected=None).fingerprint
"""


# safety 7
def test_7_a_full_disk_leaves_the_old_file_and_the_journal_is_only_trouble() -> None:
    script = (
        _FILL
        + """
try:
    save(novel, "new " * 20000, UTF8, expected=known)
except SaveFailed as failed:
    print(failed.message)
assert novel.read_text() == "old " * 5000
assert os.listdir(disk) == ["novel.md"], os.listdir(disk)

journal = Journal.open(novel, "old " * 5000, known)
journal.update("new " * 20000, (0, 0))
assert not journal.flush()
assert "No space left" in journal.trouble
assert load(novel).text == "old " * 5000
journal.update("short", (0, 0))
assert journal.flush()
assert journal.trouble is None
known = save(novel, "short", UTF8, expected=known).fingerprint
journal.saved("short", known)
assert journal.flush()
print(novel.read_text(), os.listdir(journal.path.parent))
"""
    )
    assert run_with_small_disk(script).splitlines() == [
        "There is no room left for “novel.md” on its disk. Free some space, or save it elsewhere.",
        "short []",
    ]


# safety 7
def test_7_writing_in_place_on_a_full_disk_puts_the_old_text_back() -> None:
    script = (
        _FILL
        + """
os.environ["STORYTELLER_HOME"] = sys.argv[2]
os.link(novel, disk / "second.md")
try:
    save(novel, "new " * 20000, UTF8, expected=known)
except SaveFailed as failed:
    print(failed.message)
assert novel.read_text() == (disk / "second.md").read_text() == "old " * 5000
from storyteller.manuscript.recovery import find_recoveries
assert find_recoveries(novel) == []
"""
    )
    said = run_with_small_disk(script, "../elsewhere")
    assert said.startswith("There is no room left for “novel.md”")


# safety 8
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_8_the_full_device_is_refused_by_name_and_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "novel.md"
    link.symlink_to("/dev/full")
    for path in (Path("/dev/full"), link):
        with pytest.raises(SaveFailed, match="is a device"):
            save(path, "text", UTF8, expected=None, overwrite=True)
    assert link.is_symlink()


class _FullDisk(FaultyDisk):
    """New files are really `/dev/full`: the error comes from the kernel, with the first write."""

    def open(self, path: Path, flags: int, mode: int = 0o777, /) -> int:
        fd = super().open(path, flags, mode)
        if flags & os.O_EXCL:
            full = os.open("/dev/full", os.O_WRONLY)
            os.dup2(full, fd)
            os.close(full)
        return fd


# safety 8
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_8_an_error_of_the_device_itself_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SaveFailed, match="no room left"):
        save(tmp_path / "novel.md", "text", UTF8, expected=None, disk=_FullDisk())
    assert names_in(tmp_path) == []


# safety 8
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_8_an_error_that_comes_only_with_closing_is_reported(tmp_path: Path, error: int) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    disk = FaultyDisk()
    disk.before("write", lambda _: disk.fail("close", error))
    with pytest.raises(SaveFailed, match="no room left"):
        save(path, "new", UTF8, expected=load(path).fingerprint, disk=disk)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["novel.md"]


# safety 9
def test_9_a_file_size_limit_does_not_kill_and_reads_as_an_error(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.save import SaveFailed, save

novel = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save(novel, "new " * 5000, UTF8, expected=load(novel).fingerprint)
except SaveFailed as failed:
    print(failed.message)
journal = Journal.open(novel, "old", None)
journal.update("new " * 5000, (0, 0))
assert not journal.flush()
print(journal.trouble)
"""
    path = tmp_path / "novel.md"
    path.write_text("old")
    said = run_script(script, path).splitlines()
    assert said[0].startswith("“novel.md” would become larger than the system allows.")
    assert "File too large" in said[1]
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["novel.md"]


# safety 9
def test_9_a_quota_is_the_same_as_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    disk = FaultyDisk(longest_write=2)
    disk.fail("write", errno.EDQUOT, nth=2)
    with pytest.raises(SaveFailed, match="no room left"):
        save(path, "new", UTF8, expected=load(path).fingerprint, disk=disk)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["novel.md"]
