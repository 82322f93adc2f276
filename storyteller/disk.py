"""The operating system's calls that our writes are made of, and the three things every safe write does with them.

`os` itself is a `Disk`; tests give one that fails, waits or keeps a record on purpose.
"""
# ruff: noqa: D102  each method is the call of `os` with its name

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from pathlib import Path

_NO_DIRECTORY_SYNC: Final = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
_PIECE: Final = 1 << 20


def is_there(path: Path) -> bool:
    """Whether there is something at `path`; in a folder that may not be entered there is nothing."""
    return os.path.exists(path)  # noqa: PTH110 - Path's raises there


def is_folder(path: Path) -> bool:
    """Whether there is a folder at `path`; in one that may not be entered there is none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path's raises there


def is_missing(path: Path) -> bool:
    """Whether nothing is at `path` for certain. Where that cannot be seen it is False: opening the path says why."""
    try:
        return not path.exists()
    except OSError:
        return False


class Disk(Protocol):
    """What a write needs of the operating system."""

    def open(self, path: Path, flags: int, mode: int = 0o777, /) -> int: ...
    def read(self, fd: int, length: int, /) -> bytes: ...
    def write(self, fd: int, data: memoryview, /) -> int: ...
    def pwrite(self, fd: int, data: memoryview, offset: int, /) -> int: ...
    def ftruncate(self, fd: int, length: int, /) -> None: ...
    def fsync(self, fd: int, /) -> None: ...
    def close(self, fd: int, /) -> None: ...
    def stat(self, path: Path, /) -> os.stat_result: ...
    def fstat(self, fd: int, /) -> os.stat_result: ...
    def fchmod(self, fd: int, mode: int, /) -> None: ...
    def fchown(self, fd: int, uid: int, gid: int, /) -> None: ...
    def replace(self, source: Path, target: Path, /) -> None: ...
    def unlink(self, path: Path, /) -> None: ...


def read_all(fd: int, limit: int, disk: Disk = os) -> bytes:
    """What is left to read of an open file, at most `limit` bytes and one more, which tells that there are more."""
    pieces = []
    left = limit + 1
    while left and (piece := disk.read(fd, min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def write_all(fd: int, data: bytes, disk: Disk = os) -> None:
    """Write every byte of `data`, however many calls it takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[disk.write(fd, rest) :]


def write_all_at(fd: int, data: bytes, offset: int, disk: Disk = os) -> None:
    """Write every byte of `data` from `offset` on."""
    rest = memoryview(data)
    while rest:
        count = disk.pwrite(fd, rest, offset)
        rest, offset = rest[count:], offset + count


def sync_file(fd: int, disk: Disk = os) -> None:
    """Wait until the file's bytes are on the disk itself, past the drive's own cache where the system can say so."""
    disk.fsync(fd)
    if sys.platform == "darwin":
        with contextlib.suppress(OSError):  # some file systems know fsync only
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)


def sync_directory(folder: Path, disk: Disk = os) -> None:
    """Wait until the folder's names are on the disk: without it a rename may be lost with the power.

    Raises:
        OSError: the disk failed. A folder that cannot be synced at all (its file system, its permissions) is no error.
    """
    try:
        fd = disk.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        disk.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        disk.close(fd)
