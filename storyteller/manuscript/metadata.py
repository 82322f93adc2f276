"""What a file is besides its bytes, given to the file that takes its place."""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.disk import Disk

_ACCESS_LIST: Final = "system.posix_acl_access"
_NO_ATTRIBUTES: Final = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NOT_HERE: Final = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def carry_over(source: Path, old: os.stat_result, fd: int, disk: Disk = os) -> None:
    """Give the open file `fd` the owner, group, mode, access list and extended attributes of `source`.

    Args:
        source: the file to be replaced.
        old: its status.
        fd: the new file.
        disk: where both are.

    Raises:
        PermissionError: something of it cannot be given to a new file; nothing else is wrong.
        OSError: the disk failed.
    """
    new = disk.fstat(fd)
    try:
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
            disk.fchown(fd, old.st_uid, old.st_gid)
        disk.fchmod(fd, stat.S_IMODE(old.st_mode))  # after the owner: changing that clears setuid and setgid
        _copy_attributes(source, fd)
    except OSError as error:
        if error.errno in _NOT_HERE:
            raise PermissionError(errno.EPERM, error.strerror) from error
        raise
    new = disk.fstat(fd)
    if (new.st_uid, new.st_gid, new.st_mode) != (old.st_uid, old.st_gid, old.st_mode):
        raise PermissionError(errno.EPERM, "the owner or mode was not taken")


if sys.platform == "linux":

    def _copy_attributes(source: Path, fd: int) -> None:
        """Make the new file's extended attributes those of `source`; the access list is one of them."""
        wanted, present = _attributes(source), _attributes(fd)
        for name in present.keys() - wanted.keys():
            if name == _ACCESS_LIST or name.startswith("user."):
                os.removexattr(fd, name)
        for name, value in wanted.items():
            if present.get(name) != value:
                os.setxattr(fd, name, value)

    def _attributes(file: Path | int) -> dict[str, bytes]:
        try:
            return {name: os.getxattr(file, name) for name in os.listxattr(file)}
        except OSError as error:
            if error.errno in _NO_ATTRIBUTES:
                return {}
            raise

else:

    def _copy_attributes(source: Path, fd: int) -> None:
        """Python reaches extended attributes on Linux only."""
