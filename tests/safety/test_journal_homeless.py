"""No home directory, or none that can be written: writing goes on, and a sentence says what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.lock import DocumentLock
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.save import save
from tests.stubs.confined import run_script, run_with_small_disk

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_SESSION = """
import os, sys
from pathlib import Path
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.lock import DocumentLock
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.save import save
from storyteller.paths import state_dir

def session(novel):
    lock = DocumentLock()
    assert lock.acquire(novel) is None
    loaded = load(novel)
    assert find_recoveries(novel) == [] == find_recoveries(None)
    journal = Journal.open(novel, loaded.text, loaded.fingerprint)
    journal.update("new", (0, 3))
    flushed = journal.flush()
    saved = save(novel, "new", UTF8, expected=loaded.fingerprint)
    journal.saved("new", saved.fingerprint)
    print(flushed, lock.trouble, journal.trouble, sep="|")
    journal.close(discard=True)
    lock.release()
    assert novel.read_text() == "new"
"""


# safety 23
def test_23_a_state_directory_that_cannot_be_made_is_trouble_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STORYTELLER_HOME", str(tmp_path / "file" / "home"))
    novel = tmp_path / "novel.md"
    lock = DocumentLock()
    assert lock.acquire(novel) is None
    assert lock.trouble is not None
    journal = Journal.open(novel, "", None)
    journal.update("text", (0, 4))
    assert not journal.flush()
    assert journal.trouble is not None
    assert "Save often" in journal.trouble
    assert find_recoveries(novel) == []
    saved = save(novel, "text", UTF8, expected=None)
    journal.saved("text", saved.fingerprint)
    journal.close(discard=True)
    lock.release()
    assert novel.read_text() == "text"


# safety 23
def test_23_a_home_on_a_read_only_disk_is_trouble_and_no_more(tmp_path: Path) -> None:
    script = (
        _SESSION
        + """
import subprocess
disk = Path(sys.argv[1])
os.environ["STORYTELLER_HOME"] = str(disk / "home")
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
session(Path(sys.argv[2]))
"""
    )
    said = run_with_small_disk(script, tmp_path / "novel.md")
    flushed, lock_trouble, journal_trouble = said.strip().split("|")
    assert flushed == "False"
    assert "Read-only file system" in lock_trouble
    assert "Read-only file system" in journal_trouble


# safety 23
def test_23_without_home_variables_a_session_works(tmp_path: Path) -> None:
    script = (
        _SESSION
        + """
for name in [name for name in os.environ if name == "HOME" or name.startswith(("XDG_", "STORYTELLER_"))]:
    del os.environ[name]
import pwd
def nobody(_uid):
    raise KeyError("no such user")
pwd.getpwuid = nobody
os.environ["TMPDIR"] = os.getcwd()
os.chdir(Path(sys.argv[1]).parent)
session(Path(sys.argv[1]))
assert os.listdir() == ["novel.md"], os.listdir()
assert state_dir() == Path(os.environ["TMPDIR"], f"storyteller-{os.getuid()}", "state")
"""
    )
    folder = tmp_path / "book"
    folder.mkdir()
    assert run_script(script, folder / "novel.md") == "True|None|None\n"
