"""What is no plain file is refused at once, by its kind."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from storyteller.errors import DocumentError
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import SaveFailed, disk_state, save
from tests.stubs.faulty_disk import FaultyDisk

pytestmark = pytest.mark.timeout(10)  # a pipe opened without care waits for ever


def _refused(path: Path, kind: str) -> None:
    with pytest.raises(DocumentError, match=kind):
        load(path)
    with pytest.raises(SaveFailed, match=kind):
        save(path, "text", UTF8, expected=None, overwrite=True)
    assert disk_state(path, None) == "modified"


# safety 15
def test_15_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    _refused(tmp_path / "pipe", "is a pipe")
    (tmp_path / "link").symlink_to("pipe")
    _refused(tmp_path / "link", "is a pipe")


# safety 15
def test_15_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind("socket")
        _refused(tmp_path / "socket", "is a socket")


# safety 15
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full", "/dev/tty"])
def test_15_a_device_is_refused(device: str) -> None:
    if not Path(device).exists():
        pytest.skip(f"this system has no {device}")
    _refused(Path(device), "is a device")


# safety 15
def test_15_a_folder_is_refused(tmp_path: Path) -> None:
    _refused(tmp_path, "is a folder")
    _refused(Path("/"), "is a folder")


# safety 15
def test_15_a_pipe_that_takes_the_file_s_place_meanwhile_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("text")

    def swap(_path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    disk = FaultyDisk()
    disk.before("open", swap)
    with pytest.raises(DocumentError, match="is a pipe"):
        load(path, disk=disk)


# safety 15
def test_15_a_pipe_in_place_of_a_hard_link_meanwhile_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("text")
    (tmp_path / "second.md").hardlink_to(path)
    known = load(path).fingerprint

    def swap(_path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    disk = FaultyDisk()
    disk.before("open", swap)
    with pytest.raises(SaveFailed, match="is a pipe"):
        save(path, "new", UTF8, expected=known, disk=disk)


# safety 15
@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_15_whatever_else_the_system_answers_is_a_sentence(tmp_path: Path, error: int) -> None:
    path = tmp_path / "novel.md"
    path.write_text("text")
    disk = FaultyDisk()
    disk.fail("read", error)
    with pytest.raises(DocumentError, match="novel"):
        load(path, disk=disk)
