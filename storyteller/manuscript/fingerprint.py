"""What tells one document from another, and one version of a document from the next."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path


class Fingerprint(Struct, frozen=True):
    """One version of a file on disk.

    Attributes:
        device, inode: which file it is.
        size: its length in bytes.
        mtime_ns: when its content changed last, in nanoseconds.
        digest: of its content, so that a file only touched, or replaced by its equal, counts as the same.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    digest: bytes

    def matches(self, status: os.stat_result) -> bool:
        """Whether the file's status is still that of this version; its content need not be read then."""
        return (self.device, self.inode, self.size, self.mtime_ns) == (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
        )


def fingerprint(status: os.stat_result, data: bytes) -> Fingerprint:
    """The version whose status and content these are."""
    return Fingerprint(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        digest=digest(data),
    )


def digest(data: bytes) -> bytes:
    """16 bytes that stand for `data`."""
    return hashlib.blake2b(data, digest_size=16).digest()


def document_key(path: Path) -> str:
    """20 hex digits for the file that `path` leads to through any symbolic links: the same for all its spellings."""
    return hashlib.blake2b(os.fsencode(os.path.realpath(path)), digest_size=10).hexdigest()
