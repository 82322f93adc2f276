"""Where recovery journals stand, what they are called, and which came first."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from typing import TYPE_CHECKING, Final, Literal

from storyteller.disk import read_all, sync_directory
from storyteller.liveness import hold
from storyteller.manuscript.fingerprint import document_key
from storyteller.manuscript.records import Header, read_header
from storyteller.paths import journal_dir, private_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storyteller.disk import Disk

UNTITLED: Final = "untitled"
_NAME: Final = re.compile(r"\A(?P<key>[0-9a-f]{20}|untitled)-[0-9a-f]{16}\.(?:journal|before)\Z")
_HEADER_BYTES: Final = 16 << 10
_SAFELY: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_WRITABLE: Final = {errno.EROFS, errno.EACCES, errno.EPERM}


def journal_folder(disk: Disk) -> Path:
    """The journals' folder, made where it is missing, and on the disk by name all the way down.

    Raises:
        OSError: it cannot be made.
    """
    folder = journal_dir()
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    private_dir(folder)
    for path in missing:
        sync_directory(path.parent, disk)
    return folder


def new_place(document: Path | None, kind: Literal["journal", "before"]) -> Path:
    """A path no journal has had: two programs, or one after the other, never write to the same."""
    return journal_dir() / f"{_key(document)}-{secrets.token_hex(8)}.{kind}"


def journals_of(document: Path | None) -> Iterator[Path]:
    """All journals of one document, or of all that have no name."""
    wanted = _key(document)
    return (path for path, key in _all_journals() if key == wanted)


def named_journals() -> Iterator[Path]:
    """All journals of documents that have a name."""
    return (path for path, key in _all_journals() if key != UNTITLED)


def next_generation(document: Path | None) -> int:
    """One more than the highest generation among this document's journals. Clocks play no part."""
    headers = (header_of(path) for path in journals_of(document))
    return 1 + max((header.generation for header in headers if header), default=0)


@contextlib.contextmanager
def taken(path: Path) -> Iterator[tuple[int, bool | None]]:
    """A journal opened and, where possible, locked against its writer: see `hold` for the second value.

    Raises:
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, os.O_RDWR | _SAFELY)  # some file systems lock only what may be written
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        fd = os.open(path, os.O_RDONLY | _SAFELY)
    try:
        yield fd, hold(fd)
    finally:
        os.close(fd)


def header_of(path: Path) -> Header | None:
    """What a journal says about itself; None where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | _SAFELY)
    except OSError:
        return None
    try:
        return read_header(read_all(fd, _HEADER_BYTES))
    except OSError:
        return None
    finally:
        os.close(fd)


def _all_journals() -> Iterator[tuple[Path, str]]:
    with contextlib.suppress(OSError):
        for path in sorted(journal_dir().iterdir()):
            if (found := _NAME.match(path.name)) is not None:
                yield path, found["key"]


def _key(document: Path | None) -> str:
    return UNTITLED if document is None else document_key(document)
