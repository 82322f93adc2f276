"""Who has a document open."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from storyteller import paths
from storyteller.liveness import hold, this_process
from storyteller.manuscript import lock as lock_module
from storyteller.manuscript.lock import DocumentLock, Owner

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_HOLD = """
import pathlib, sys
from storyteller.manuscript.lock import DocumentLock
lock = DocumentLock()
assert lock.acquire(pathlib.Path(sys.argv[1])) is None and lock.trouble is None
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_sees_the_first_until_it_lets_go(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    first, second = DocumentLock(), DocumentLock()
    assert first.acquire(document) is None
    owner = second.acquire(document)
    assert owner is not None
    assert (owner.pid, owner.process) == (os.getpid(), this_process())
    first.release()
    assert second.acquire(document) is None
    second.release()
    assert list((paths.state_dir() / "locks").iterdir()) == []


def test_other_documents_are_other_locks(tmp_path: Path) -> None:
    first, second = DocumentLock(), DocumentLock()
    assert first.acquire(tmp_path / "a.md") is None
    assert second.acquire(tmp_path / "b.md") is None
    first.release()
    second.release()


def test_a_link_is_the_same_document(tmp_path: Path) -> None:
    (tmp_path / "novel.md").touch()
    (tmp_path / "link.md").symlink_to("novel.md")
    first, second = DocumentLock(), DocumentLock()
    assert first.acquire(tmp_path / "novel.md") is None
    assert second.acquire(tmp_path / "link.md") is not None
    first.release()


def test_a_new_document_gives_up_the_last_one_s_lock(tmp_path: Path) -> None:
    first, second = DocumentLock(), DocumentLock()
    first.acquire(tmp_path / "a.md")
    first.acquire(tmp_path / "b.md")
    assert second.acquire(tmp_path / "a.md") is None
    first.release()
    second.release()


# safety 4
def test_4_another_program_is_seen_and_its_death_frees_the_lock(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    command = [sys.executable, "-c", _HOLD, str(document)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        lock = DocumentLock()
        owner = lock.acquire(document)
        assert owner is not None
        assert owner.pid == other.pid
        assert owner.host == this_process().host
        other.kill()
        other.wait()
        assert lock.acquire(document) is None  # its file is still there
    lock.release()


def test_where_nothing_can_be_locked_the_record_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    document = tmp_path / "novel.md"
    first, second = DocumentLock(), DocumentLock()
    assert first.acquire(document) is None
    owner = second.acquire(document)
    assert owner is not None
    assert owner.pid == os.getpid()
    (place,) = (paths.state_dir() / "locks").iterdir()
    stale = Owner(msgspec.structs.replace(owner.process, started="another run"), since=0.0)
    place.write_bytes(msgspec.json.encode(stale))
    assert second.acquire(document) is None  # the number was reused: whoever wrote it is gone
    second.release()


def test_a_lock_without_a_readable_name_still_holds(tmp_path: Path) -> None:
    document = tmp_path / "novel.md"
    first, second = DocumentLock(), DocumentLock()
    assert first.acquire(document) is None
    (place,) = (paths.state_dir() / "locks").iterdir()
    place.write_bytes(b"{")
    owner = second.acquire(document)
    assert owner is not None
    assert owner.pid == 0
    first.release()


# safety 23
def test_23_without_a_state_directory_it_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STORYTELLER_HOME", str(tmp_path / "file" / "home"))
    lock = DocumentLock()
    assert lock.acquire(tmp_path / "novel.md") is None
    assert lock.trouble is not None
    assert "Not a directory" in lock.trouble
    lock.release()


def test_a_lock_file_removed_while_it_was_being_taken_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "novel.md"
    first, second, third = DocumentLock(), DocumentLock(), DocumentLock()
    assert first.acquire(document) is None

    def hold_after_release(fd: int) -> bool | None:
        first.release()  # its file goes after the second has opened it
        return hold(fd)

    monkeypatch.setattr(lock_module, "hold", hold_after_release)
    assert second.acquire(document) is None
    assert third.acquire(document) is not None
    second.release()
