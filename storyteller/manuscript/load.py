"""Opening a manuscript: its exact text, and all that is needed to write it back unchanged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from storyteller.atomic import is_temporary_name
from storyteller.disk import read_all
from storyteller.errors import DocumentError
from storyteller.manuscript.access import explain, find_target, require_plain_file, shown, why_read_only
from storyteller.manuscript.encoding import UTF8, Encoding, decode
from storyteller.manuscript.fingerprint import Fingerprint, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.disk import Disk

MAX_BYTES: Final = 64 << 20
# Without O_NONBLOCK a pipe that takes the file's place after we looked would hold us for ever.
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document as it stood on disk.

    Attributes:
        path: where it is, absolute, links not resolved.
        text: every character of it, newlines of all kinds as they are.
        encoding: what turns `text` back into its bytes.
        fingerprint: the version that was read; None where there is no such file yet.
        read_only: why it cannot be saved here, as a sentence; None where it can.
    """

    path: Path
    text: str
    encoding: Encoding
    fingerprint: Fingerprint | None
    read_only: str | None


def load(path: Path, *, disk: Disk = os) -> Loaded:
    """Open the document at `path`; a file that does not exist yet is an empty one.

    Raises:
        DocumentError: it is no plain file, larger than 64 MB, in a folder that does not exist, or not readable.
    """
    named = path
    try:
        named = path.absolute()  # which fails where the working folder is gone
        target, status = find_target(named, disk)
        if is_temporary_name(target.name):
            raise DocumentError(
                f"{shown(target)} is what an interrupted save left behind, not a manuscript. Rename it to open it."
            )
        if status is None:
            disk.stat(target.parent)
            return Loaded(named, "", UTF8, None, why_read_only(target, None))
        data, status = read_steadily(target, disk)
    except OSError as error:
        raise DocumentError(explain(error, named)) from error
    text, encoding = decode(data)
    return Loaded(named, text, encoding, fingerprint(status, data), why_read_only(target, status))


def read_steadily(target: Path, disk: Disk = os) -> tuple[bytes, os.stat_result]:
    """A file's bytes and the status that belongs to them: read again where another program wrote meanwhile.

    Raises:
        DocumentError: it is no plain file, or larger than 64 MB.
        OSError: it cannot be read.
    """
    for _ in range(_ATTEMPTS):
        fd = disk.open(target, _READ)
        try:
            before = disk.fstat(fd)
            require_plain_file(target, before)
            data = read_all(fd, MAX_BYTES, disk)
            after = disk.fstat(fd)
        finally:
            disk.close(fd)
        if len(data) > MAX_BYTES:
            raise DocumentError(
                f"{shown(target)} is larger than {MAX_BYTES >> 20} MB. Split it, into chapters perhaps, and open a part."
            )
        if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
            break
    return data, after
