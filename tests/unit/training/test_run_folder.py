"""Where a run lives: one process at a time, wishes, and nothing outside of it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from storyteller import liveness
from storyteller.errors import SettingsError, TrainingError
from storyteller.liveness import this_process
from storyteller.training import run_folder
from storyteller.training.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.liveness import Process

HOLDER = """
from storyteller.training.run_folder import RunFolder
with RunFolder("poetry").held():
    print("held", flush=True)
    input()
"""
DAMAGED = [b"", b"{", b"null", b'{"host":"\xff"}', b"\0" * 5000, b"[" * 4096]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(TrainingError, match="nothing was begun"),
        RunFolder("x", tmp_path / "file" / "run").held(),
    ):
        pass


def as_left_by_the_dead() -> bytes:
    """A lock's record of a process that ran in this boot and runs no more."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    return msgspec.json.encode(msgspec.structs.replace(this_process(), pid=dead.pid, started="1"))


def work_on(folder: RunFolder) -> None:
    with folder.held():
        pass


def trainer() -> Process | None:
    return RunFolder("poetry").trainer


def test_a_run_has_a_folder_of_its_own_that_only_the_writer_sees(home: Path) -> None:
    folder = RunFolder("poetry")
    with folder.held():
        assert folder.path.is_relative_to(home)
        assert folder.path.name == "poetry"
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder.path / "lock").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "genre", ["", ".", "..", "../../x", "a/b", "A", "[/red]", "\x1b[31m", "a" * 65, "-x", "a\n"]
)
def test_53_no_other_name_is_ever_a_folder(home: Path, genre: str) -> None:
    with pytest.raises(SettingsError, match="cannot name a genre"):
        RunFolder(genre)
    assert not home.exists()


# Safety 54: one training a genre


def test_54_a_second_run_of_a_genre_is_refused_and_another_genre_is_not() -> None:
    with RunFolder("poetry").held():
        with pytest.raises(TrainingError, match=rf"being trained already by process {os.getpid()}\."):
            work_on(RunFolder("poetry"))
        with RunFolder("stories").held():
            pass
    with RunFolder("poetry").held():
        pass


def test_54_another_process_is_named_and_its_death_frees_the_genre() -> None:
    folder = RunFolder("poetry")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        holder = trainer()
        assert holder is not None
        assert holder.pid == other.pid
        with pytest.raises(TrainingError, match=f"by process {other.pid}"):
            work_on(folder)
        other.kill()
        other.wait()
    assert trainer() is None
    with folder.held():
        assert trainer() == this_process()
    assert trainer() is None


@pytest.mark.parametrize("record", DAMAGED)
def test_54_a_damaged_lock_is_no_obstacle(record: bytes) -> None:
    folder = RunFolder("poetry")
    folder.path.mkdir(parents=True)
    (folder.path / "lock").write_bytes(record)
    assert trainer() is None
    with folder.held():
        assert trainer() == this_process()


def test_54_without_locks_of_the_file_system_the_record_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "hold", lambda _fd: None)
    folder = RunFolder("poetry")
    folder.path.mkdir(parents=True)
    for stale in (as_left_by_the_dead(), *DAMAGED):
        (folder.path / "lock").write_bytes(stale)
        assert trainer() is None
        with folder.held():
            pass
    (folder.path / "lock").write_bytes(msgspec.json.encode(this_process()))
    with pytest.raises(TrainingError, match="being trained already"):
        work_on(folder)
    reused = msgspec.structs.replace(this_process(), started="long before")
    (folder.path / "lock").write_bytes(msgspec.json.encode(reused))
    assert not liveness.is_alive(reused)
    with folder.held():
        pass


# Wishes


def test_wishes_are_read_back_and_anything_else_means_go() -> None:
    folder = RunFolder("poetry")
    assert folder.wished == "go"
    for wish in ("pause", "stop", "go"):
        folder.wish(wish)
        assert RunFolder("poetry").wished == wish
    for other in (b"", b"pause\n", b"\xff\xfe", b"stop" * 1000):
        (folder.path / "control").write_bytes(other)
        assert folder.wished == "go"
