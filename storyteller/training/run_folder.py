"""Where a genre's run lives, who works on it, and how it is told to pause or stop. No torch: the screen uses it too.

The folder is state_dir()/training/GENRE: `lock` is held by the process that trains, `run.json` says what was asked for,
`events.jsonl` everything the run said, `control` what it is asked ("pause", "stop"), `step-N/` are checkpoints.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from storyteller.atomic import write_atomic
from storyteller.errors import SettingsError, TrainingError
from storyteller.genres import check_name
from storyteller.liveness import Process, hold, is_alive, this_process
from storyteller.paths import state_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Wish = Literal["go", "pause", "stop"]
CHECKPOINT: Final = re.compile(r"step-(\d{1,9})\Z")  # the name of one


def run_folders() -> Iterator[RunFolder]:
    """Of every genre that was ever trained here, by name."""
    try:
        found = sorted(path.name for path in (state_dir() / "training").iterdir())
    except OSError:
        return
    for name in found:
        try:
            folder = RunFolder(name)
        except SettingsError:
            continue
        yield folder


class RunFolder:
    """The folder of one genre's run, or of a model's own at `path`."""

    def __init__(self, genre: str, path: Path | None = None) -> None:
        """Raises SettingsError where `genre` cannot be a folder's name."""
        check_name(genre)
        self.genre = genre
        self.path = state_dir() / "training" / genre if path is None else path

    @property
    def events(self) -> Path:
        """The file of everything the run said."""
        return self.path / "events.jsonl"

    @property
    def settings(self) -> Path:
        """The file of what was asked for."""
        return self.path / "run.json"

    @property
    def unfinished(self) -> bool:
        """Whether a run left a checkpoint here, whole or not, from which nothing came yet."""
        try:
            return any(CHECKPOINT.match(path.name) for path in self.path.iterdir())
        except OSError:
            return False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Work on this run, alone, for as long as the block lasts.

        Raises:
            TrainingError: another process trains this genre, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TrainingError(
                f"The run's folder {self.path} cannot be written ({error.strerror or error}), so nothing was begun. "
                "Make room or allow it there, then try again."
            ) from error
        try:
            free = hold(fd)
            if free is False or (free is None and self._living(fd) is not None):
                raise TrainingError(
                    f"{self.genre} is being trained already{_by(_holder(fd))}. Wait for it, or stop it first."
                )
            os.ftruncate(fd, 0)
            os.pwrite(fd, msgspec.json.encode(this_process()), 0)
            yield
        finally:
            os.close(fd)

    @property
    def trainer(self) -> Process | None:
        """The process that trains this genre now."""
        try:
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return None if hold(fd) else self._living(fd)
        finally:
            os.close(fd)

    def wish(self, wish: Wish) -> None:
        """Ask the run to pause, to go on, or to stop; it looks between two steps."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self.path / "control", wish.encode("ascii"), mode=0o600)

    @property
    def wished(self) -> Wish:
        """What the run was last asked for."""
        try:
            with (self.path / "control").open("rb") as stream:
                said = stream.read(16)
        except OSError:
            return "go"
        return "pause" if said == b"pause" else "stop" if said == b"stop" else "go"

    @staticmethod
    def _living(fd: int) -> Process | None:
        holder = _holder(fd)
        return holder if holder is not None and is_alive(holder) else None


def _holder(fd: int) -> Process | None:
    try:
        return msgspec.json.decode(os.pread(fd, 4096, 0), type=Process)
    except (OSError, ValueError):  # msgspec's errors, and bytes that are no UTF-8
        return None


def _by(process: Process | None) -> str:
    return f" by process {process.pid}" if process is not None else ""
