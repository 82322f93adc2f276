"""Saving a manuscript: afterwards the file is exactly the new text or exactly the old one, and nobody's work is lost.

The usual way is a temporary file that takes the target's name. A file with several names, in a folder that takes no
new files, mounted by itself, or with an owner or attributes we cannot give to a new file, is written in place after a
verified backup.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from storyteller.atomic import sweep_orphans, temporary_beside
from storyteller.disk import sync_directory, sync_file
from storyteller.errors import DocumentError
from storyteller.manuscript.access import explain, find_target, shown, why_read_only
from storyteller.manuscript.encoding import CannotEncode, Encoding, encode
from storyteller.manuscript.fingerprint import Fingerprint, digest, fingerprint
from storyteller.manuscript.in_place import write_in_place
from storyteller.manuscript.load import read_steadily
from storyteller.manuscript.metadata import carry_over

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.disk import Disk

__all__ = ["CannotEncode", "ChangedOnDisk", "SaveFailed", "Saved", "disk_state", "save", "sweep_orphans"]

_NOT_REPLACED: Final = {errno.EACCES, errno.EPERM, errno.EBUSY}
DiskState = Literal["same", "modified", "deleted", "created"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save has made.

    Attributes:
        fingerprint: the version now on disk, for the next save to expect.
        notes: what a writer may want to know, a sentence each; mostly none.
    """

    fingerprint: Fingerprint
    notes: tuple[str, ...] = ()


class ChangedOnDisk(DocumentError):  # noqa: N818  it says what happened
    """Another program changed the file since it was loaded; nothing was written.

    Attributes:
        path: the file.
        change: `modified`, `deleted` (its folder may be gone too), or `created` (it was a new document).
    """

    title = "The file changed on disk"

    def __init__(self, path: Path, change: Literal["modified", "deleted", "created"]) -> None:
        self.path = path
        self.change = change
        what = {
            "modified": f"Another program changed {shown(path)} since it was opened. "
            "Compare the two, then overwrite it or save elsewhere.",
            "deleted": f"{shown(path)} was deleted or moved since it was opened. Save it again here, or elsewhere.",
            "created": f"Another program made a file {shown(path)} meanwhile. "
            "Compare the two, then overwrite it or save elsewhere.",
        }
        super().__init__(what[change])


class SaveFailed(DocumentError):  # noqa: N818  it says what happened
    """The text could not be written; the message says why and what to do.

    Attributes:
        on_disk: the file's version where the text did arrive but the disk would not confirm it; mostly None.
    """

    title = "The manuscript was not saved"

    def __init__(self, message: str, *, on_disk: Fingerprint | None = None) -> None:
        super().__init__(message)
        self.on_disk = on_disk


def save(
    path: Path,
    text: str,
    encoding: Encoding,
    *,
    expected: Fingerprint | None,
    overwrite: bool = False,
    disk: Disk = os,
) -> Saved:
    """Write `text` to the file that `path` leads to.

    Args:
        path: the document; symbolic links are followed and kept.
        text: all of it.
        encoding: as `load` found it, or `UTF8`.
        expected: the version that was loaded or saved last; None for a file that was not there.
        overwrite: write even if another program changed, deleted or made the file meanwhile.
        disk: where to write.

    Raises:
        CannotEncode: a character does not exist in `encoding`.
        ChangedOnDisk: the file is not the expected one, and `overwrite` was not given.
        SaveFailed: the disk or its permissions refused.
    """
    data = encode(text, encoding)
    try:
        target, status = find_target(path.absolute(), disk)
        guard = _Guard(target, data, expected, overwrite, disk)
        guard.check()
        if (reason := why_read_only(target, status)) is not None:
            if status is None:
                disk.stat(target.parent)  # a folder that is gone says so rather than "read-only"
            raise SaveFailed(f"{reason} Save it under another name, or change its permissions.")
        return _write(target, status, data, guard, disk)
    except (ChangedOnDisk, SaveFailed):
        raise
    except DocumentError as error:
        raise SaveFailed(error.message) from error
    except OSError as error:
        raise SaveFailed(explain(error, path)) from error


def disk_state(path: Path, known: Fingerprint | None, *, disk: Disk = os) -> DiskState:
    """How the file at `path` stands to the version `known`; None stands for "there was no file".

    A file that was touched, or replaced by one with the same content, is the same. Reads the file only where its
    status differs and its size does not.
    """
    try:
        target, status = find_target(path, disk)
        if status is None:
            return "same" if known is None else "deleted"
        if known is None:
            return "created"
        if known.matches(status):
            return "same"
        if status.st_size != known.size:
            return "modified"
        return "same" if digest(read_steadily(target, disk)[0]) == known.digest else "modified"
    except NotADirectoryError:
        return "same" if known is None else "deleted"
    except (OSError, DocumentError):
        return "modified"


@dataclass(frozen=True, slots=True)
class _Guard:
    """Stands before every write: is the file still the one the writer knows?"""

    target: Path
    data: bytes
    expected: Fingerprint | None
    overwrite: bool
    disk: Disk

    def check(self) -> None:
        """Raise ChangedOnDisk unless it is, or already holds the very bytes to be written."""
        if self.overwrite:
            return
        state = disk_state(self.target, self.expected, disk=self.disk)
        if state == "same" or (state != "deleted" and self._already_there()):
            return
        raise ChangedOnDisk(self.target, state)

    def _already_there(self) -> bool:
        try:
            return read_steadily(self.target, self.disk)[0] == self.data
        except (OSError, DocumentError):
            return False


def _write(target: Path, status: os.stat_result | None, data: bytes, guard: _Guard, disk: Disk) -> Saved:
    if status is None:
        return _replace(target, None, data, guard, disk)
    if status.st_nlink > 1:
        note = f"{shown(target)} has {status.st_nlink} names; all of them now show this text."
        return _in_place(target, data, guard, disk, note)
    try:
        return _replace(target, status, data, guard, disk)
    except OSError as error:
        if error.errno not in _NOT_REPLACED:
            raise
        return _in_place(target, data, guard, disk)


def _replace(target: Path, old: os.stat_result | None, data: bytes, guard: _Guard, disk: Disk) -> Saved:
    """Write beside the target and take its name.

    Raises:
        OSError: with a number of `_NOT_REPLACED` where the folder takes no new file, the old file's owner or
            attributes cannot be given to one, or the file is the root of a mount.
    """
    with temporary_beside(target, mode=0o666 if old is None else 0o600, disk=disk) as temporary:
        temporary.write(data)
        if old is not None:
            carry_over(target, old, temporary.fd, disk)
            sync_file(
                temporary.fd, disk
            )  # so that the power cannot fail between the text and its permissions
        written = fingerprint(disk.fstat(temporary.fd), data)
        temporary.close()
        guard.check()
        temporary.become(target)
    try:
        sync_directory(target.parent, disk)
    except OSError as error:
        raise SaveFailed(explain(error, target), on_disk=written) from error
    return Saved(written)


def _in_place(target: Path, data: bytes, guard: _Guard, disk: Disk, *notes: str) -> Saved:
    status = write_in_place(target, data, guard.check, disk)
    return Saved(fingerprint(status, data), notes)
