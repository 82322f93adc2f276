"""One recovery journal on disk: started whole, grown by what changed, removed when there is nothing to recover.

Every step waits for the disk. Used by one thread; `Journal` gives it that thread.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from storyteller.atomic import sweep_orphans, temporary_beside
from storyteller.disk import sync_directory, sync_file, write_all_at
from storyteller.liveness import this_process
from storyteller.manuscript.difference import changed_span
from storyteller.manuscript.records import MAGIC, Cursor, Delta, Header, Seal, Snapshot, text_bytes
from storyteller.manuscript.shelf import journal_folder, new_place, next_generation

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.disk import Disk
    from storyteller.manuscript.encoding import Encoding
    from storyteller.manuscript.fingerprint import Fingerprint

_MOST_DELTAS: Final = 1000
_MOST_DELTA_BYTES: Final = 256 << 10


@dataclass(slots=True)
class _Written:
    """The journal as it lies on disk: open, locked, whole up to `size`.

    Attributes:
        sound: false from the moment a sync failed: what the system then still shows may never reach the disk.
    """

    fd: int
    inode: int
    seal: Seal
    text: str
    on_disk: Fingerprint | None
    first_size: int
    size: int
    deltas: int = 0
    sound: bool = False


class JournalFile:
    """The file of one journal. Its methods raise OSError; what was written before stays readable then."""

    def __init__(self, document: Path | None, encoding: Encoding, disk: Disk) -> None:
        self.path = new_place(document, "journal")
        self._document = document
        self._encoding = encoding
        self._disk = disk
        self._generation: int | None = None
        self._written: _Written | None = None

    def departs_from(self, on_disk: Fingerprint | None) -> bool:
        """Whether the journal's text departs from this version of the document."""
        return self._written is not None and self._written.on_disk == on_disk

    def write(self, text: str, cursor: Cursor, on_disk: Fingerprint | None) -> None:
        """Bring the journal to `text`, which departs from the version `on_disk`; return once the disk has it."""
        written = self._written
        if written is None or not self._can_grow(written) or written.on_disk != on_disk:
            self._start(text, cursor, on_disk)
            return
        if written.deltas >= _MOST_DELTAS or written.size - written.first_size > self._most_growth(written):
            with contextlib.suppress(OSError):  # a full disk may still take a few more words
                self._start(text, cursor, on_disk)
                return
        self._append(written, text, cursor)

    def remove(self) -> None:
        """Remove the journal: there is nothing to recover."""
        if self._written is not None:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(self.path)
            self.close()
            sync_directory(self.path.parent, self._disk)

    def close(self) -> None:
        """Let go of the file and leave it where it is."""
        if self._written is not None:
            fd, self._written = self._written.fd, None
            with contextlib.suppress(OSError):
                self._disk.close(fd)

    def _start(self, text: str, cursor: Cursor, on_disk: Fingerprint | None) -> None:
        """Write the whole text to a new file that takes the journal's name."""
        folder = journal_folder(self._disk)
        seal = Seal()
        first = Snapshot(text_bytes(text), cursor, time.time())
        data = MAGIC + seal.wrap([self._header(on_disk), first])
        with temporary_beside(self.path, disk=self._disk) as temporary:
            temporary.write(data)
            inode = self._disk.fstat(temporary.fd).st_ino
            temporary.become(self.path)
            self.close()
            fd = temporary.detach()
        written = _Written(fd, inode, seal, text, on_disk, first_size=len(data), size=len(data))
        self._written = written
        sync_directory(folder, self._disk)
        written.sound = True

    def _header(self, on_disk: Fingerprint | None) -> Header:
        if self._generation is None:
            sweep_orphans(self.path.parent)
            self._generation = next_generation(self._document)
        return Header(
            document=None if self._document is None else os.fsencode(os.path.realpath(self._document)),
            on_disk=on_disk,
            encoding=self._encoding,
            process=this_process(),
            generation=self._generation,
        )

    def _append(self, written: _Written, text: str, cursor: Cursor) -> None:
        """Add one record, or nothing at all."""
        span = changed_span(written.text, text)
        if not span.size:
            return
        seal = written.seal.copy()
        frame = seal.wrap([Delta(span.start, span.removed, text_bytes(span.added), cursor, time.time())])
        try:
            write_all_at(written.fd, frame, written.size, self._disk)
        except OSError:
            self._disk.ftruncate(written.fd, written.size)
            raise
        written.sound = False
        sync_file(written.fd, self._disk)
        written.sound = True
        written.seal, written.text, written.size = seal, text, written.size + len(frame)
        written.deltas += 1

    def _can_grow(self, written: _Written) -> bool:
        """Whether the open file is sound and still the one under the journal's name."""
        try:
            return written.sound and self._disk.stat(self.path).st_ino == written.inode
        except FileNotFoundError:
            return False

    @staticmethod
    def _most_growth(written: _Written) -> int:
        return max(written.first_size, _MOST_DELTA_BYTES)
