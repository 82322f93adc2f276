"""Whether the process that wrote a file still runs."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from storyteller.liveness import Process, hold, is_alive, this_process

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_this_process_is_alive() -> None:
    assert this_process().pid == os.getpid()
    assert is_alive(this_process())


def test_a_dead_process_is_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not is_alive(msgspec.structs.replace(this_process(), pid=child.pid))


def test_a_reused_number_is_not_the_process() -> None:
    here = this_process()
    assert not is_alive(msgspec.structs.replace(here, started=here.started + "1"))


def test_an_earlier_boot_is_over() -> None:
    assert not is_alive(msgspec.structs.replace(this_process(), boot="another"))


def test_another_machine_cannot_be_asked() -> None:
    assert is_alive(Process(host="elsewhere.invalid", boot="", pid=1, started=""))


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "held"
    path.touch()
    with path.open("rb+") as one, path.open("rb+") as two:
        assert hold(one.fileno()) is True
        assert hold(two.fileno()) is False
        one.close()
        assert hold(two.fileno()) is True


def test_a_file_system_without_locks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "held"
    path.touch()
    with path.open("rb+") as file:
        assert hold(file.fileno()) is None
