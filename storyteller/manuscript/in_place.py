"""Writing over a file that cannot be replaced, after a verified copy of what it held.

The copy is a recovery journal: should the write be interrupted, opening the file again offers the text as it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from typing import TYPE_CHECKING, Final

from storyteller.atomic import temporary_beside
from storyteller.disk import read_all, sync_directory, sync_file, write_all_at
from storyteller.errors import DocumentError
from storyteller.liveness import this_process
from storyteller.manuscript.access import require_plain_file, shown
from storyteller.manuscript.encoding import decode
from storyteller.manuscript.fingerprint import digest, fingerprint
from storyteller.manuscript.load import MAX_BYTES
from storyteller.manuscript.records import MAGIC, Header, Seal, Snapshot, text_bytes
from storyteller.manuscript.shelf import (
    header_of,
    journal_folder,
    journals_of,
    new_place,
    next_generation,
    taken,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from storyteller.disk import Disk

_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write_in_place(
    target: Path, data: bytes, last_check: Callable[[], None], disk: Disk = os
) -> os.stat_result:
    """Make `data` the content of the existing file `target`, which keeps its inode, names, owner and attributes.

    Args:
        target: a plain file.
        data: the whole content.
        last_check: called when all is ready; may raise a DocumentError to call it off.
        disk: where to write.

    Returns:
        The file's status afterwards.

    Raises:
        DocumentError: `last_check` said so, or no copy of the old content could be kept; the file is untouched.
        OSError: the write failed; the old content was put back, or is kept for recovery.
    """
    fd = disk.open(target, _OPEN)
    try:
        status = disk.fstat(fd)
        require_plain_file(target, status)
        old = read_all(fd, MAX_BYTES, disk)
        if len(old) > MAX_BYTES:
            raise DocumentError(
                f"{shown(target)} has grown too large to be kept safe. Save under another name."
            )
        with _copy_kept(target, old, status, data, disk) as copy:
            last_check()
            try:
                _overwrite(fd, len(old), data, disk)
            except OSError:
                with contextlib.suppress(OSError):
                    _overwrite(fd, len(old), old, disk)
                    _drop(copy, disk)
                raise
            status = _mode_restored(fd, status, disk)
        _drop_earlier(target, disk)
        return status
    finally:
        disk.close(fd)


def _overwrite(fd: int, size: int, data: bytes, disk: Disk) -> None:
    """Write what lies past `size` first: a full disk is found out before a byte of the old text is gone."""
    write_all_at(fd, data[size:], size, disk)
    write_all_at(fd, data[:size], 0, disk)
    disk.ftruncate(fd, len(data))
    sync_file(fd, disk)
    if (found := disk.fstat(fd).st_size) != len(data):
        raise OSError(errno.EIO, f"{found} of {len(data)} bytes arrived")


def _mode_restored(fd: int, before: os.stat_result, disk: Disk) -> os.stat_result:
    """The file's status, its setuid and setgid bits given back where writing has cleared them."""
    if disk.fstat(fd).st_mode != before.st_mode:
        with contextlib.suppress(PermissionError):
            disk.fchmod(fd, stat.S_IMODE(before.st_mode))
    return disk.fstat(fd)


@contextlib.contextmanager
def _copy_kept(target: Path, old: bytes, status: os.stat_result, new: bytes, disk: Disk) -> Iterator[Path]:
    """A verified copy of `old` on disk, left there for recovery if the block is torn off or fails to write."""
    place = new_place(target, "before")
    try:
        fd = _write_copy(place, _copy_bytes(target, old, status, new), disk)
    except OSError as error:
        raise DocumentError(
            f"{shown(target)} can only be written in place, and no copy of it could be kept in {place.parent}"
            f" ({error.strerror}). Save it under another name."
        ) from error
    try:
        try:
            yield place
        except DocumentError:  # called off before the first byte
            _drop(place, disk)
            raise
        _drop(place, disk)
    finally:
        disk.close(fd)


def _drop(place: Path, disk: Disk) -> None:
    with contextlib.suppress(
        OSError
    ):  # looking for recoveries drops it too: its file holds one text or the other
        disk.unlink(place)


def _drop_earlier(target: Path, disk: Disk) -> None:
    """Drop what this process kept of the file when a write failed: a later text of the same writer is in it now."""
    for place in journals_of(target):
        header = header_of(place)
        if header is not None and header.purpose == "before" and header.process == this_process():
            with contextlib.suppress(OSError), taken(place) as (_, ours):
                if ours is not False:
                    _drop(place, disk)


def _copy_bytes(target: Path, old: bytes, status: os.stat_result, new: bytes) -> bytes:
    text, encoding = decode(old)
    header = Header(
        document=os.fsencode(target),
        on_disk=fingerprint(status, old),
        encoding=encoding,
        process=this_process(),
        generation=next_generation(target),
        purpose="before",
        replaced_by=digest(new),
    )
    return MAGIC + Seal().wrap([header, Snapshot(text_bytes(text), (0, 0), time.time())])


def _write_copy(place: Path, data: bytes, disk: Disk) -> int:
    """Write the copy, read it back, and return it open and locked."""
    folder = journal_folder(disk)
    with temporary_beside(place, disk=disk) as temporary:
        temporary.write(data)
        if _read(temporary.path, len(data), disk) != data:
            raise OSError(errno.EIO, "the disk gave back something else")
        temporary.become(place)
        fd = temporary.detach()
    try:
        sync_directory(folder, disk)
    except OSError:
        disk.close(fd)
        raise
    return fd


def _read(path: Path, length: int, disk: Disk) -> bytes:
    fd = disk.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_all(fd, length, disk)
    finally:
        disk.close(fd)
