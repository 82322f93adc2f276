"""Writes that are there in full or not at all: a temporary file beside the target, fsync, rename, fsync of the folder.

`write_atomic` serves small files of our own; the manuscript's save builds its longer procedure from the same parts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from storyteller.disk import sync_directory, sync_file, write_all
from storyteller.liveness import hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storyteller.disk import Disk

_NAME_MAX: Final = 255
_TEMPORARY: Final = re.compile(r"\A\..*\.storyteller-(?P<pid>[0-9]{1,10})-[0-9a-f]{8}\.tmp\Z", re.DOTALL)


class Temporary:
    """A file beside its target that is about to become it. Held locked while open, so that no sweep takes it."""

    def __init__(self, fd: int, path: Path, disk: Disk) -> None:
        self.fd = fd
        self.path = path
        self._disk = disk
        self._open = True

    def write(self, data: bytes) -> None:
        """Write all of `data`, wait until it is on the disk, and check that its size is right."""
        write_all(self.fd, data, self._disk)
        sync_file(self.fd, self._disk)
        if (size := self._disk.fstat(self.fd).st_size) != len(data):
            raise OSError(errno.EIO, f"{size} of {len(data)} bytes arrived")

    def close(self) -> None:
        """Close the file; some file systems report a full disk only here."""
        if self._open:
            self._open = False
            self._disk.close(self.fd)

    def become(self, target: Path) -> None:
        """Take the target's name. The folder still has to be synced: `sync_directory`."""
        self._disk.replace(self.path, target)

    def detach(self) -> int:
        """Hand over the open, locked file; whoever takes it closes it."""
        self._open = False
        return self.fd

    def discard(self) -> None:
        """Close and remove the file; never raises."""
        with contextlib.suppress(OSError):
            self.close()
        with contextlib.suppress(OSError):
            self._disk.unlink(self.path)


@contextlib.contextmanager
def temporary_beside(target: Path, *, mode: int = 0o600, disk: Disk = os) -> Iterator[Temporary]:
    """A new, empty file in `target`'s folder, gone again if the block raises.

    Args:
        target: the file it will become; its folder must exist and be writable.
        mode: permissions to ask for; the umask and the folder's default ACL apply.
        disk: where to make it.

    Raises:
        OSError: the file cannot be made.
    """
    temporary = _create_temporary(target, mode, disk)
    try:
        yield temporary
    except BaseException:
        temporary.discard()
        raise
    temporary.close()


def _create_temporary(target: Path, mode: int, disk: Disk) -> Temporary:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        path = target.with_name(temporary_name(target))
        try:
            fd = disk.open(path, flags, mode)
        except FileExistsError:
            continue
        hold(fd)
        return Temporary(fd, path, disk)


def temporary_name(target: Path) -> str:
    """A fresh name for a temporary beside `target`, never longer than the folder allows.

    `.NAME.storyteller-PID-XXXXXXXX.tmp`, with NAME cut short where the whole would not fit.
    """
    ending = f".storyteller-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    room = _longest_name(target.parent) - len(ending) - 1
    stem = os.fsencode(target.name)[: max(room, 0)].decode("utf-8", "ignore")
    return f".{stem}{ending}"


def _longest_name(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError):
        return _NAME_MAX


def is_temporary_name(name: str) -> bool:
    """Whether a file called `name` is one of our temporaries, and so no document."""
    return _TEMPORARY.match(name) is not None


def is_orphan_name(name: str) -> bool:
    """Whether `name` is that of a temporary whose process has ended."""
    found = _TEMPORARY.match(name)
    return found is not None and not _runs(int(found["pid"]))


def write_atomic(path: Path, data: bytes, *, mode: int | None = None, disk: Disk = os) -> os.stat_result:
    """Make `data` the content of `path`, or leave `path` as it was.

    Args:
        path: the file; a symbolic link is followed and kept.
        data: the whole content.
        mode: permissions for the file; None keeps those of the present file, or takes the umask's for a new one.
        disk: where to write.

    Returns:
        The new file's status.

    Raises:
        OSError: nothing was changed, unless only the last step, syncing the folder, failed.
    """
    target = Path(os.path.realpath(path))
    kept = mode
    if kept is None:
        with contextlib.suppress(FileNotFoundError):
            kept = stat.S_IMODE(disk.stat(target).st_mode)
    with temporary_beside(target, mode=0o666 if kept is None else 0o600, disk=disk) as temporary:
        if kept is not None:
            disk.fchmod(temporary.fd, kept)
        temporary.write(data)
        written = disk.fstat(temporary.fd)
        temporary.close()
        temporary.become(target)
    sync_directory(target.parent, disk)
    return written


def sweep_orphans(directory: Path, *, disk: Disk = os) -> None:
    """Remove our temporaries that a crash left in `directory`; never raises.

    Only plain files of this user whose names are ours go, and only where both the process of their name and the
    kernel's lock say that nobody is writing them.
    """
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            found = _TEMPORARY.match(entry.name)
            if found is not None and not _runs(int(found["pid"])):
                with contextlib.suppress(OSError):
                    _remove_if_free(entry, disk)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove_if_free(entry: os.DirEntry[str], disk: Disk) -> None:
    if not entry.is_file(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_uid != os.geteuid():
        return
    path = Path(entry.path)
    fd = disk.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if hold(fd) is not False:
            disk.unlink(path)
    finally:
        disk.close(fd)
