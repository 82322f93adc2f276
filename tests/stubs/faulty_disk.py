"""A disk that keeps a record of what it was asked, and fails, waits or lets something else happen on demand.

It calls `os` underneath: whatever it lets through is really there.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Call:
    """One call that went through. `path` is the file's name when it was opened; `target` what a rename made of it."""

    name: str
    path: Path
    data: bytes = b""
    offset: int = -1
    target: Path | None = None


@dataclass
class Gate:
    """Holds one call until it is opened."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _path: Path) -> None:
        self.reached.set()
        assert self.opened.wait(30), "nobody opened the gate"


class FaultyDisk:
    """`os` with a record, and with whatever `before` has been told to do."""

    def __init__(self, *, longest_write: int | None = None) -> None:
        self.calls: list[Call] = []
        self._longest_write = longest_write
        self._plans: list[tuple[str, int, Callable[[Path], None]]] = []
        self._paths: dict[int, Path] = {}

    def before(self, name: str, act: Callable[[Path], None], *, nth: int = 1) -> None:
        """Have `act` run, with the path, before the `nth` call from now of that name; what it raises is the call's."""
        self._plans.append((name, nth, act))

    def fail(self, name: str, error: int, *, nth: int = 1, times: int = 1) -> None:
        """Have `times` calls of that name fail, from the `nth` from now on."""

        def refuse(path: Path) -> None:
            raise OSError(error, os.strerror(error), str(path))

        for turn in range(nth, nth + times):
            self.before(name, refuse, nth=turn)

    def heal(self) -> None:
        """Forget all plans."""
        self._plans.clear()

    def names(self) -> list[str]:
        """What was called, in order."""
        return [call.name for call in self.calls]

    def _turn(self, name: str, path: Path) -> None:
        due = [act for planned, nth, act in self._plans if planned == name and nth == 1]
        self._plans = [
            (planned, nth - 1 if planned == name else nth, act)
            for planned, nth, act in self._plans
            if not (planned == name and nth == 1)
        ]
        for act in due:
            act(path)

    def open(self, path: Path, flags: int, mode: int = 0o777, /) -> int:
        created = bool(flags & os.O_EXCL)
        self._turn("create" if created else "open", path)
        fd = os.open(path, flags, mode)
        self._paths[fd] = path
        self.calls.append(Call("create" if created else "open", path))
        return fd

    def read(self, fd: int, length: int, /) -> bytes:
        self._turn("read", self._paths[fd])
        return os.read(fd, length)

    def write(self, fd: int, data: memoryview, /) -> int:
        self._turn("write", self._paths[fd])
        offset = os.lseek(fd, 0, os.SEEK_CUR)
        count = os.write(fd, data[: self._longest_write])
        self.calls.append(Call("write", self._paths[fd], bytes(data[:count]), offset))
        return count

    def pwrite(self, fd: int, data: memoryview, offset: int, /) -> int:
        self._turn("pwrite", self._paths[fd])
        count = os.pwrite(fd, data[: self._longest_write], offset)
        self.calls.append(Call("write", self._paths[fd], bytes(data[:count]), offset))
        return count

    def ftruncate(self, fd: int, length: int, /) -> None:
        self._turn("ftruncate", self._paths[fd])
        os.ftruncate(fd, length)
        self.calls.append(Call("truncate", self._paths[fd], offset=length))

    def fsync(self, fd: int, /) -> None:
        path = self._paths[fd]
        name = "fsync folder" if path.is_dir() else "fsync"
        self._turn(name, path)
        os.fsync(fd)
        self.calls.append(Call(name, path))

    def close(self, fd: int, /) -> None:
        path = self._paths.pop(fd)
        os.close(fd)
        self._turn("close", path)
        self.calls.append(Call("close", path))

    def stat(self, path: Path, /) -> os.stat_result:
        self._turn("stat", path)
        return path.stat()

    def fstat(self, fd: int, /) -> os.stat_result:
        self._turn("fstat", self._paths[fd])
        return os.fstat(fd)

    def fchmod(self, fd: int, mode: int, /) -> None:
        self._turn("fchmod", self._paths[fd])
        os.fchmod(fd, mode)
        self.calls.append(Call("fchmod", self._paths[fd]))

    def fchown(self, fd: int, uid: int, gid: int, /) -> None:
        self._turn("fchown", self._paths[fd])
        os.fchown(fd, uid, gid)
        self.calls.append(Call("fchown", self._paths[fd]))

    def replace(self, source: Path, target: Path, /) -> None:
        self._turn("replace", source)
        source.replace(target)
        for fd, path in self._paths.items():
            if path == source:
                self._paths[fd] = target
        self.calls.append(Call("replace", source, target=target))

    def unlink(self, path: Path, /) -> None:
        self._turn("unlink", path)
        path.unlink()
        self.calls.append(Call("unlink", path))
