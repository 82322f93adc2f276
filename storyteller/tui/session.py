"""The open document without a screen: its file, lock, journal and what was last saved. Never touches a widget."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

from storyteller.errors import DocumentError
from storyteller.manuscript.encoding import UTF8, Encoding
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import Loaded, load
from storyteller.manuscript.lock import DocumentLock
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.save import SaveFailed, disk_state, save, sweep_orphans
from storyteller.text import display_line
from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.manuscript.fingerprint import Fingerprint
    from storyteller.manuscript.lock import Owner
    from storyteller.manuscript.recovery import Recovery
    from storyteller.manuscript.save import DiskState, Saved

UNTITLED: Final = "untitled"
Cursor = tuple[int, int]


class DocumentSession:
    """One document from opening to closing.

    `open` reads; `begin` starts the journal, once the writer decided about recoveries. From then on `edited`
    is called for every change, and `close` in the end, whatever happened in between.
    """

    def __init__(
        self, path: Path | None, text: str, encoding: Encoding, fingerprint: Fingerprint | None
    ) -> None:
        self.id = uuid7()
        self.path = path
        self.encoding = encoding
        self.read_only: str | None = None  # why it cannot be saved here, as a sentence
        self.owner: Owner | None = None  # another program that has it open
        self.recoveries: list[Recovery] = []
        self.remarks: list[str] = []  # what the writer should know about its journals
        self.dirty = False
        self.opening_text = text
        self._fingerprint = fingerprint
        self._saved_text = text
        self._lock = DocumentLock()
        self._journal: Journal | None = None
        self._saving = asyncio.Lock()

    @classmethod
    def open(cls, path: Path | None) -> DocumentSession:
        """The document at `path`, or a new one without a name.

        Raises:
            DocumentError: it cannot be opened; nothing was changed.
        """
        if path is None:
            session = cls(None, "", UTF8, None)
        else:
            loaded: Loaded = load(path)
            sweep_orphans(loaded.path.parent)
            session = cls(loaded.path, loaded.text, loaded.encoding, loaded.fingerprint)
            session.read_only = loaded.read_only
            session.owner = session._lock.acquire(loaded.path)
        session.recoveries = find_recoveries(session.path, on_skipped=session.remarks.append)
        return session

    @property
    def name(self) -> str:
        """What the screen calls it: one line, whatever the file is called."""
        return display_line(self.path.name) if self.path else UNTITLED

    def is_at(self, path: Path) -> bool:
        """Whether `path` is the document's own."""
        return path.absolute() == self.path

    @property
    def left_to_owner(self) -> bool:
        """Another program has it open, and here it is only read."""
        return self.owner is not None and self.read_only is not None

    @property
    def is_new(self) -> bool:
        """There is no such file yet."""
        return self._fingerprint is None

    @property
    def saved_text(self) -> str:
        """What the file holds, as far as we know."""
        return self._saved_text

    @property
    def trouble(self) -> str | None:
        """Why a crash would lose text, or another program would not be seen; None while all is well."""
        return (self._journal and self._journal.trouble) or self._lock.trouble

    def begin(self) -> None:
        """Start the journal."""
        if self._journal is None:
            self._journal = Journal.open(
                self.path, self._saved_text, self._fingerprint, encoding=self.encoding
            )

    def edited(self, text: str, cursor: Cursor) -> None:
        """The text is now this. Cheap."""
        self.dirty = text != self._saved_text
        if self._journal is not None:
            self._journal.update(text, cursor)

    def secure(self, text: str, cursor: Cursor, timeout_s: float = 0.7) -> bool:
        """Wait until `text` is in the journal: for signals and crashes. Whether it is."""
        if self._journal is None:
            return not self.dirty
        self._journal.update(text, cursor)
        return self._journal.flush(timeout_s)

    def speaks_for_file(self) -> bool:
        """Whether there is a file that may be written here and holds what was loaded or saved last; looks at it."""
        if self.path is None or self.is_new or self.read_only is not None:
            return False
        return disk_state(self.path, self._fingerprint) == "same"

    async def disk_state(self) -> DiskState:
        """How the file stands to what was loaded or saved last."""
        if self.path is None:
            return "same"
        return await asyncio.to_thread(disk_state, self.path, self._fingerprint)

    async def save(
        self, text: str, cursor: Cursor, *, path: Path | None = None, overwrite: bool = False
    ) -> tuple[str, ...]:
        """Write `text` to the document's file, or to `path` and make that the document's file. Notes for the writer.

        Raises:
            DocumentError: nothing was lost; the message says why and what to do. See `manuscript.save.save`.
        """
        async with self._saving:
            target = self.path if path is None or self.is_at(path) else path
            if target is None:
                raise SaveFailed("This page has no name yet. Save it under one.")
            moving = target != self.path
            self.edited(text, cursor)
            try:
                saved = await asyncio.to_thread(self._write, target, text, overwrite=overwrite)
            except SaveFailed as error:
                if error.on_disk is not None and not moving:
                    self._fingerprint = error.on_disk
                raise
            if moving:
                self._move_to(target)
            self._fingerprint, self._saved_text, self.read_only = saved.fingerprint, text, None
            if moving:
                self.begin()
            elif self._journal is not None:
                self._journal.saved(text, saved.fingerprint)
            self.dirty = False
            return saved.notes

    def _write(self, target: Path, text: str, *, overwrite: bool) -> Saved:
        """In a thread: the journal first, so that a crash from here on finds it level with the file."""
        if self._journal is not None:
            self._journal.flush()
        expected = self._fingerprint if target == self.path else None
        return save(target, text, self.encoding, expected=expected, overwrite=overwrite)

    async def reload(self) -> str:
        """The text as it stands on disk now, which becomes the saved one.

        Raises:
            DocumentError: it cannot be read, or is gone; nothing was changed.
        """
        if self.path is None:
            raise SaveFailed("This page has no file yet. Save it first.")
        loaded = await asyncio.to_thread(load, self.path)
        if loaded.fingerprint is None:
            raise DocumentError(f"{self.name} is gone. The page is untouched: save it again, or elsewhere.")
        self.encoding, self._fingerprint, self.read_only = (
            loaded.encoding,
            loaded.fingerprint,
            loaded.read_only,
        )
        self._saved_text, self.dirty = loaded.text, False
        if self._journal is not None:
            self._journal.close(discard=True)
            self._journal = None
        self.begin()
        return loaded.text

    def close(self, *, keep: Literal["journal", "nothing"]) -> None:
        """Let go of the document. `journal`: what is not saved can be recovered next time. May be called twice."""
        if self._journal is not None:
            self._journal.close(discard=keep == "nothing")
            self._journal = None
        self._lock.release()

    def _move_to(self, path: Path) -> None:
        if self._journal is not None:
            self._journal.close(discard=True)
            self._journal = None
        self.path = path.absolute()
        self.owner = self._lock.acquire(self.path)
