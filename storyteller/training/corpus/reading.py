"""Bytes of one regular file, never more than a set amount at once, as text in the encoding it says it is in."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

from storyteller.training.corpus.document import Unreadable
from storyteller.training.corpus.files import what_it_is

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

WHOLE_LIMIT: Final = 128 << 20  # bytes of a file that is read in one piece; the Bible is 4 MB
LINE_LIMIT: Final = 16 << 20  # characters of a line or a table's cell
_MARKS: Final = (  # UTF-32's mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The regular file at `path`, open; leaving the block checks that it is still what it was.

    Raises:
        Unreadable: not a regular file, empty, not to be opened, or changed or deleted meanwhile.
    """
    try:
        # O_NONBLOCK: what became a pipe since it was listed does not make us wait for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise Unreadable(f"cannot be opened ({error.strerror or error})") from error
    with os.fdopen(fd, "rb") as file:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise Unreadable(f"is {what_it_is(before.st_mode)}, not a file")
        if before.st_size == 0:  # also files of /proc, whose reading may wait for ever
            raise Unreadable("is empty")
        yield file
        _check_unchanged(path, before, os.fstat(fd))


def _check_unchanged(path: Path, before: os.stat_result, after: os.stat_result) -> None:
    try:
        named = path.stat()
    except OSError as error:
        raise Unreadable("was deleted while it was read") from error
    for now in (after, named):
        if _identity(now) != _identity(before):
            raise Unreadable("changed while it was read: try again when nothing writes to it")


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_text(file: BinaryIO) -> str:
    """All of `file` as text.

    Raises:
        Unreadable: too large, not text, not UTF-8 (or UTF-16 or UTF-32 with a byte order mark).
    """
    data = file.read(WHOLE_LIMIT + 1)
    if len(data) > WHOLE_LIMIT:
        raise Unreadable(
            f"is over {WHOLE_LIMIT >> 20} MB: cut it into files of one piece each, or make it .jsonl"
        )
    encoding = _encoding(data[:4])
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(_not_text(encoding, f"byte {error.start}")) from error
    if "\0" in text:
        raise Unreadable("holds NUL characters, so it is not a text")
    return text


def lines(file: BinaryIO) -> Generator[tuple[int, str], None, None]:
    """The lines of `file` with their numbers from 1 and their line ends; bytes that are no text are escaped.

    An escaped byte is a lone surrogate (U+DC80..U+DCFF): such a line is for the caller to leave out.
    Close it before `file`, where it is not read to its end.

    Raises:
        Unreadable: a line is too long, or UTF-16 or UTF-32 is cut or broken.
    """
    encoding = _encoding(file.read(4))
    file.seek(0)
    text = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")
    number = 0
    try:
        while line := text.readline(LINE_LIMIT + 1):
            number += 1
            if len(line) > LINE_LIMIT:
                raise Unreadable(f"has a line of over {LINE_LIMIT:,} characters, line {number}")
            yield number, line
    except UnicodeDecodeError as error:
        raise Unreadable(_not_text(encoding, f"after line {number}")) from error
    finally:
        text.detach()  # or it would close the file, whose state is still to be compared


def _encoding(start: bytes) -> str:
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def _not_text(encoding: str, where: str) -> str:
    name = encoding.removesuffix("-sig").upper()
    return f"is not {name} text ({where}): save it as UTF-8"
