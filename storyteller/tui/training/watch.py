"""Follows one run of training, whoever started it: reads what it says, tells the app, passes on what is asked of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from storyteller.training.events import Planned, read_events
from storyteller.training.run_folder import RunFolder, run_folders
from storyteller.tui.training import process
from storyteller.tui.training.progress import Progress
from storyteller.tui.training.words import room_words

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    from storyteller.training.events import AnyEvent
    from storyteller.training.run_folder import Wish

_POLL_S: Final = 0.3


@dataclass(frozen=True)
class _Heard:
    """What one look at the events' file brought. `anew`: it is another file than at the last look."""

    events: list[AnyEvent]
    offset: int
    file: int
    anew: bool


class Watch:
    """The run the app follows.

    Attributes:
        genre: whose run; empty before there is one.
        progress: what it said so far.
        going: a process works on it.
        following: `follow` is at work.
        asked: what was asked of it that it has not done yet.
        trouble: why its process ended without an event.
        command: how training is started.
        poll_s: seconds between two looks.
    """

    def __init__(self, changed: Callable[[], None], ended: Callable[[Watch], None]) -> None:
        self.genre = ""
        self.progress = Progress()
        self.going = self.following = False
        self.asked: Wish | None = None
        self.trouble = ""
        self.command: Sequence[str] = process.train_command()
        self.poll_s = _POLL_S
        self._changed = changed
        self._ended = ended
        self._process: subprocess.Popen[bytes] | None = None
        self._offset = 0
        self._file = 0

    @property
    def words(self) -> str:
        """What the room's status line says."""
        return room_words(self.genre, self.progress, going=self.going)

    def begin(
        self, genre: str, arguments: Sequence[str] = (), *, resume: bool = False, restart: bool = False
    ) -> None:
        """Start a run, or go on with a stopped one; `follow` it from now on.

        Args:
            genre: what is trained.
            arguments: of the command.
            resume: go on from the last checkpoint.
            restart: throw an unfinished run away.

        Raises:
            TrainingError: it cannot be started, or one goes on already.
        """
        self._point_to(genre)
        self.trouble, self.asked = "", None
        more = ["--resume"] * resume + ["--restart"] * restart
        self._process = process.start(self.command, RunFolder(genre), [*arguments, *more])
        self.going = True
        if resume:
            self.progress.reopen()
        else:
            self.progress = Progress()
        self._changed()

    def ask(self, wish: Wish) -> None:
        """Ask the run to pause, go on or stop; it does so between two steps.

        Raises:
            OSError: that cannot be written down.
        """
        RunFolder(self.genre).wish(wish)
        self.asked = wish
        self._changed()

    def _ask_again(self) -> None:
        """A run that begins forgets what it was asked for before, though the writer did mean this one."""
        if self.asked is not None:
            try:
                RunFolder(self.genre).wish(self.asked)
            except OSError:  # so it is not said that it will be done
                self.asked = None

    async def look(self, genre: str) -> None:
        """Take in what the run of `genre` said until now. Not beside `follow`, which looks by itself."""
        self._point_to(genre)
        self.going = await self._is_going()  # first, so that nothing it says before its end is missed
        self._take_in(await asyncio.to_thread(self._listen))

    async def follow(self, genre: str) -> None:
        """Take in what the run of `genre` said and says, until nobody works on it any more."""
        self._point_to(genre)
        was_going = self.going
        self.following = True
        try:
            while True:
                await self.look(genre)
                was_going = was_going or self.going
                if not self.going:
                    break
                await asyncio.sleep(self.poll_s)
        finally:
            self.following = False
        self._close()
        if was_going:
            self._ended(self)

    def _close(self) -> None:
        """Nobody works on it any more."""
        ended, self._process = self._process, None
        if ended is not None and ended.returncode and not self.progress.ended:
            gone = f"Its process ended with code {ended.returncode} and gave no reason."
            self.trouble = process.told(RunFolder(self.genre)) or gone
        self.asked = None
        self._changed()

    def _point_to(self, genre: str) -> None:
        if genre != self.genre:
            self.genre, self.progress = genre, Progress()
            self.going, self.asked, self.trouble = False, None, ""
            self._process = None
            self._offset = self._file = 0

    async def _is_going(self) -> bool:
        """Whether a process works on it. One of ours is asked itself: looking at the lock would be in its way."""
        if self._process is not None:
            return self._process.poll() is None
        return await asyncio.to_thread(lambda: RunFolder(self.genre).trainer is not None)

    def _listen(self) -> _Heard:
        path = RunFolder(self.genre).events
        try:
            status = path.stat()
        except OSError:
            return _Heard([], 0, 0, anew=self._file != 0)
        anew = status.st_ino != self._file or status.st_size < self._offset
        begin = 0 if anew else self._offset
        heard = list(read_events(path, begin))
        end = heard[-1][0] if heard else begin
        return _Heard([event for _, event in heard], end, status.st_ino, anew)

    def _take_in(self, heard: _Heard) -> None:
        if heard.anew:
            self.progress = Progress()
        self._offset, self._file = heard.offset, heard.file
        for event in heard.events:
            self.progress = self.progress.after(event)
            if isinstance(event, Planned):
                self._ask_again()
        if (self.asked == "pause" and self.progress.paused) or (
            self.asked == "go" and not self.progress.paused
        ):
            self.asked = None
        if heard.events or heard.anew:
            self._changed()


def genre_in_training() -> str | None:
    """The genre that is being trained on this machine now, the one that spoke last of several. Looks at the disk."""
    found: list[tuple[float, str]] = []
    for folder in run_folders():
        with suppress(OSError):
            if folder.trainer is not None:
                found.append((_spoke_at(folder), folder.genre))
    return max(found)[1] if found else None


def _spoke_at(folder: RunFolder) -> float:
    try:
        return folder.events.stat().st_mtime
    except OSError:
        return time.time()
