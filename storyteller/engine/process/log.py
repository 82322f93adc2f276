"""The engine's log: where the child's stdout and stderr go. Events and tracebacks, never a manuscript's text."""

from __future__ import annotations

import os
import stat
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from storyteller.paths import engine_log_path, private_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROTATE_AT = 1_000_000  # bytes; one older log is kept beside the current one
_SHARED_RUN = 12  # characters of the writer's own in a row that make a message private

# Their messages speak of shapes, paths, names and addresses; a KeyError or a UnicodeError quotes what it was given.
_PLAIN_ERRORS = (
    OSError,
    RuntimeError,
    MemoryError,
    ImportError,
    AttributeError,
    TypeError,
    NameError,
    AssertionError,
)


def open_log() -> int:
    """A descriptor that appends to the engine's log, readable by its owner alone; `/dev/null` where that cannot be.

    A log past `ROTATE_AT` becomes the older one. The descriptor is not inherited by other programs.
    """
    path = engine_log_path()
    try:
        private_dir(path.parent)
        with suppress(FileNotFoundError):
            if path.stat().st_size > ROTATE_AT:
                path.replace(path.with_name(path.name + ".1"))
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        if not stat.S_ISREG(os.fstat(log).st_mode):  # a FIFO or a device would hold up or swallow the engine
            os.close(log)
            return os.open(os.devnull, os.O_WRONLY)
        os.fchmod(log, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
    return log


def note(line: str, log: int = 2) -> None:
    """Write `line`, stamped with the time and this process, to a descriptor: stderr, which is the log in the engine's process."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    with suppress(OSError):
        os.write(log, f"{stamp} [{os.getpid()}] {line.rstrip()}\n".encode(errors="backslashreplace"))


def describe(error: BaseException, private: Sequence[str] = ()) -> str:
    """The traceback of `error` and of what led to it, without the writer's words.

    The message of an exception is left out unless its type is one that does not quote its input and the
    message shares no run of characters with any text of `private`.
    """
    lines: list[str] = []
    for link in _chain(error):
        lines += traceback.format_tb(link.__traceback__)
        message = str(link)
        if not isinstance(link, _PLAIN_ERRORS) or any(_shares(message, text) for text in private):
            message = "(message left out: it may quote the manuscript)"
        lines.append(f"{type(link).__module__}.{type(link).__qualname__}: {message}\n")
    return "".join(lines)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` after the exceptions it was raised from, oldest first."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return reversed(links)


def _shares(message: str, text: str) -> bool:
    text = text.strip()
    if not text:
        return False
    run = min(_SHARED_RUN, len(text))
    return any(message[start : start + run] in text for start in range(len(message) - run + 1))
