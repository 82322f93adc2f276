"""Small files of our own are written whole or not at all, and only our own leftovers are swept."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.atomic import (
    is_temporary_name,
    sweep_orphans,
    temporary_beside,
    temporary_name,
    write_atomic,
)
from storyteller.liveness import hold
from tests.stubs.faulty_disk import FaultyDisk
from tests.stubs.folders import names_in


def test_it_writes_a_new_file_and_reports_its_status(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    status = write_atomic(path, b"{}")
    assert path.read_bytes() == b"{}"
    assert (status.st_ino, status.st_size) == (path.stat().st_ino, 2)
    assert names_in(tmp_path) == ["card.json"]


def test_the_steps_come_in_the_order_that_survives_a_crash(tmp_path: Path) -> None:
    disk = FaultyDisk()
    write_atomic(tmp_path / "a", b"text", mode=0o600, disk=disk)
    wanted = ["create", "fchmod", "write", "fsync", "close", "replace", "open", "fsync folder", "close"]
    assert disk.names() == wanted


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_mode_is_given_or_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"1", mode=mode)
    assert path.stat().st_mode & 0o777 == mode
    write_atomic(path, b"2")
    assert path.stat().st_mode & 0o777 == mode


def test_a_new_file_takes_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a", b"1")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "config.toml"
    real.write_bytes(b"old")
    link = tmp_path / "config.toml"
    link.symlink_to(real)
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_short_writes_are_finished(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"0123456789" * 10, disk=FaultyDisk(longest_write=7))
    assert (tmp_path / "a").read_bytes() == b"0123456789" * 10


@pytest.mark.parametrize("call", ["create", "fchmod", "write", "fsync", "fstat", "close", "replace"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, call: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    disk = FaultyDisk()
    disk.fail(call, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        write_atomic(path, b"new", disk=disk)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


def test_a_folder_that_cannot_be_synced_at_all_is_no_error(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.fail("fsync folder", errno.EINVAL)
    write_atomic(tmp_path / "a", b"new", disk=disk)
    disk.fail("fsync folder", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        write_atomic(tmp_path / "a", b"newer", disk=disk)


@given(st.text(min_size=1, max_size=300).filter(lambda name: "/" not in name and "\0" not in name))
def test_every_temporary_name_is_ours_and_fits(name: str) -> None:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return
    temporary = temporary_name(Path("/tmp") / name)
    assert is_temporary_name(temporary)
    assert len(os.fsencode(temporary)) <= 255
    assert "/" not in temporary


@pytest.mark.parametrize(
    "name",
    [
        "chapter.md",
        ".chapter.md.swp",
        "chapter.storyteller-1-00000000.tmp",
        ".a.storyteller-x-00000000.tmp",
        ".a.tmp",
    ],
)
def test_other_names_are_not_ours(name: str) -> None:
    assert not is_temporary_name(name)


def test_orphans_of_dead_processes_are_swept_and_nothing_else(tmp_path: Path) -> None:
    dead = _dead_pid()
    orphan = tmp_path / f".novel.md.storyteller-{dead}-0123abcd.tmp"
    orphan.write_bytes(b"half a nov")
    living = tmp_path / f".novel.md.storyteller-{os.getppid()}-0123abcd.tmp"
    living.write_bytes(b"being written")
    kept = [living]
    for name in ("novel.md", ".novel.md.swp", f"novel.storyteller-{dead}-0123abcd.tmp"):
        kept.append(tmp_path / name)
        kept[-1].write_bytes(b"mine")
    link = tmp_path / f".x.storyteller-{dead}-0123abcd.tmp"
    link.symlink_to(tmp_path / "novel.md")
    folder = tmp_path / f".y.storyteller-{dead}-0123abcd.tmp"
    folder.mkdir()
    sweep_orphans(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*kept, link, folder])


def test_an_orphan_that_someone_holds_is_left(tmp_path: Path) -> None:
    path = tmp_path / f".novel.md.storyteller-{_dead_pid()}-0123abcd.tmp"
    with path.open("wb") as held:
        assert hold(held.fileno())
        sweep_orphans(tmp_path)
        assert path.exists()
    sweep_orphans(tmp_path)
    assert not path.exists()


def test_a_temporary_is_held_while_it_is_open(tmp_path: Path) -> None:
    with temporary_beside(tmp_path / "a") as temporary, temporary.path.open("rb+") as other:
        assert hold(other.fileno()) is False


def test_sweeping_a_folder_that_is_not_there_is_quiet(tmp_path: Path) -> None:
    sweep_orphans(tmp_path / "nowhere")


def _dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid
