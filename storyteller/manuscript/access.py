"""What stands at a path: which file it leads to, whether that is a file at all, whether it may be written."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from storyteller.errors import DocumentError
from storyteller.text import display_line

if TYPE_CHECKING:
    from storyteller.disk import Disk

_KINDS: Final = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)
_EFFECTIVE: Final = os.access in os.supports_effective_ids


def shown(path: Path) -> str:
    """The file's name, in quotes and safe to print, for a sentence."""
    return f"“{display_line(path.name or str(path))}”"


def find_target(path: Path, disk: Disk = os) -> tuple[Path, os.stat_result | None]:
    """The file that `path` leads to through any symbolic links, and its status; None where there is none yet.

    Raises:
        DocumentError: it is no plain file.
        OSError: it cannot be looked at: a loop of links, a closed folder, a name too long.
    """
    if "\0" in os.fspath(path):
        raise DocumentError("A file name cannot hold a NUL character. Choose another name.")
    try:
        status = disk.stat(path)
    except FileNotFoundError:
        return Path(os.path.realpath(path)), None
    require_plain_file(path, status)
    return Path(os.path.realpath(path)), status


def require_plain_file(path: Path, status: os.stat_result) -> None:
    """Raise DocumentError unless the status is that of a plain file."""
    if not stat.S_ISREG(status.st_mode):
        kind = next((words for test, words in _KINDS if test(status.st_mode)), "is no plain file")
        raise DocumentError(f"{shown(path)} {kind}, not a manuscript. Choose a plain file.")


def why_read_only(target: Path, status: os.stat_result | None) -> str | None:
    """Why `target` cannot be written, as a sentence; None where it can."""
    if status is None:
        if _may_write(target.parent):
            return None
        return f"The folder {shown(target.parent)} does not let you make files in it."
    if status.st_mode & 0o222 and _may_write(target):
        return None
    if _on_read_only_disk(target):
        return f"{shown(target)} is on a disk that cannot be written."
    return f"{shown(target)} is write-protected."


def explain(error: OSError, path: Path) -> str:
    """What went wrong with the file at `path`, and what to do, in two sentences."""
    name = shown(path)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"There is no room left for {name} on its disk. Free some space, or save it elsewhere."
        case errno.EFBIG:
            return (
                f"{name} would become larger than the system allows. Raise the limit, or save it elsewhere."
            )
        case errno.EIO:
            return f"The disk failed while it worked on {name}. Try again, or use another disk."
        case errno.EROFS:
            return f"{name} is on a disk that cannot be written. Save it elsewhere."
        case errno.EACCES | errno.EPERM:
            return (
                f"{name} is closed to you. Change its permissions, or its folder's, or choose another place."
            )
        case errno.ENOENT | errno.ENOTDIR:
            return f"The folder of {name} does not exist. Make it, or choose another place."
        case errno.ENAMETOOLONG:
            return f"The name {name} is longer than the disk allows. Choose a shorter one."
        case errno.ELOOP:
            return (
                f"{name} is a symbolic link that leads back to itself. Mend the link, or choose another name."
            )
        case _:
            reason = display_line(error.strerror or type(error).__name__)
            return f"{name}: {reason}. Try again, or choose another place."


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=_EFFECTIVE)


def _on_read_only_disk(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False
