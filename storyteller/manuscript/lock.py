"""Who has a document open: one lock file a document in the state directory, so that two programs see each other."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from storyteller.disk import read_all, write_all_at
from storyteller.liveness import Process, hold, is_alive, this_process
from storyteller.manuscript.fingerprint import document_key
from storyteller.paths import private_dir, state_dir

if TYPE_CHECKING:
    from pathlib import Path

_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_BYTES: Final = 4096


class Owner(Struct, frozen=True):
    """Who has the document.

    Attributes:
        process: the run of storyteller; its `started` tells a reused number apart.
        since: when it opened the document, in seconds of the wall clock, to be shown.
    """

    process: Process
    since: float

    @property
    def pid(self) -> int:
        """Its process number; 0 where it has not written it yet."""
        return self.process.pid

    @property
    def host(self) -> str:
        """The machine it runs on."""
        return self.process.host


_UNKNOWN: Final = Process(host="", boot="", pid=0, started="")


class DocumentLock:
    """The lock of one open document. Goes with the process, however that ends."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._path: Path | None = None
        self.trouble: str | None = None

    def acquire(self, document: Path) -> Owner | None:
        """Take the lock of `document`, giving up the one held before.

        Returns:
            None: it is ours, or cannot be had at all, which `trouble` says then; go on in both cases.
            Otherwise who has it.
        """
        self.release()
        try:
            folder = private_dir(state_dir() / "locks")
            return self._take(folder / f"{document_key(document)}.lock")
        except OSError as error:
            self.trouble = f"Another storyteller that opens this file would not be seen ({error.strerror}). Open it once only."
            return None

    def release(self) -> None:
        """Let go; never raises."""
        if self._fd is not None and self._path is not None:
            with contextlib.suppress(OSError):
                if _still_at(self._path, self._fd):
                    self._path.unlink()  # before letting go: nobody can have taken it meanwhile
            os.close(self._fd)
        self._fd = self._path = None

    def _take(self, path: Path) -> Owner | None:
        while True:
            fd = os.open(path, _OPEN, 0o600)
            try:
                owner = _owner_if_held(fd)
                if owner is None and _still_at(path, fd):
                    with contextlib.suppress(
                        OSError
                    ):  # on a full disk the lock still holds, it only has no name
                        os.ftruncate(fd, 0)
                        write_all_at(fd, msgspec.json.encode(Owner(this_process(), time.time())), 0)
                    self._fd, self._path, fd = fd, path, -1
                    return None
            finally:
                if fd >= 0:
                    os.close(fd)
            if owner is not None:
                return owner


def _owner_if_held(fd: int) -> Owner | None:
    """Who holds the open lock file; None where we do now."""
    ours = hold(fd)
    if ours:
        return None
    try:
        owner = msgspec.json.decode(read_all(fd, _MOST_BYTES), type=Owner)
    except msgspec.MsgspecError:
        return None if ours is None else Owner(_UNKNOWN, time.time())
    return None if ours is None and not is_alive(owner.process) else owner


def _still_at(path: Path, fd: int) -> bool:
    """Whether the lock file is still the one under its name: whoever let go of it has removed it."""
    try:
        return path.stat().st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False
