"""The recovery journal: whatever happens, the text is on disk within a second or 200 characters of the screen.

The screen's thread only says what the text is now; one background thread writes it and waits for the disk. That
thread alone touches the file, so no older write can finish after a newer one, and nothing reappears once removed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from storyteller.manuscript.encoding import UTF8, Encoding
from storyteller.manuscript.journal_file import JournalFile

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.disk import Disk
    from storyteller.manuscript.fingerprint import Fingerprint
    from storyteller.manuscript.records import Cursor

# Below the promised second and 200 characters by what a write takes while typing goes on.
_DELAY_S: Final = 0.6
_CHARACTERS: Final = 100
_RETRY_S: Final = 5.0
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class _Base:
    """What the file on disk holds, as far as we know."""

    text: str
    fingerprint: Fingerprint | None


@dataclass(frozen=True, slots=True)
class _Work:
    """What the writing thread takes with it: the newest state at that moment."""

    latest: _Text
    base: _Base
    end: Literal["keep", "discard"] | None
    revision: int


class Journal:
    """The journal of one open document. No method raises, and none but `flush` and `close` waits for the disk.

    Around a save call `update` and `flush` before it and `saved` after it: a crash in between then finds the
    journal level with the file, and asks nothing.
    """

    def __init__(
        self,
        document: Path | None,
        base_text: str,
        fingerprint: Fingerprint | None,
        encoding: Encoding = UTF8,
        disk: Disk = os,
    ) -> None:
        self._file = JournalFile(document, encoding, disk)
        self._changed = threading.Condition()  # re-entrant: a signal handler may flush during an update
        self._latest = _Text(base_text, (0, 0))
        self._base = _Base(base_text, fingerprint)
        self._end: Literal["keep", "discard"] | None = None
        self._trouble: str | None = None
        self._revision = 0
        self._tried = 0  # the last revision that the thread carried out, or failed to
        self._behind = 0  # characters changed since the thread took the text last
        self._due: float | None = None  # on the monotonic clock
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        document: Path | None,
        base_text: str,
        fingerprint: Fingerprint | None,
        *,
        encoding: Encoding = UTF8,
        disk: Disk = os,
    ) -> Journal:
        """Begin a journal. Nothing is written until the text differs from `base_text`.

        Args:
            document: the file; None for a document without a name yet.
            base_text: the text on disk; empty for a new document.
            fingerprint: the version on disk; None for a new document.
            encoding: how the document is encoded, for a recovery that finds the file gone.
            disk: where to write.
        """
        return cls(document, base_text, fingerprint, encoding, disk)

    @property
    def trouble(self) -> str | None:
        """Why the journal is not being kept, as a sentence; None while it is. The same trouble is said once."""
        return self._trouble

    @property
    def path(self) -> Path:
        """Where the journal lies when there is something to recover."""
        return self._file.path

    def update(self, text: str, cursor: Cursor) -> None:
        """The text and the cursor (line, column) are now these. Costs a comparison of two texts at most.

        How much changed is only estimated here, from the lengths: finding the change is the thread's work, and
        what the estimate misses (a passage that gave way to another of its length) the second still bounds.
        """
        with self._changed:
            if self._end is not None:
                return
            grown = abs(len(text) - len(self._latest.text))
            changed = grown > 0 or text != self._latest.text
            self._latest = _Text(text, cursor)
            if not changed:
                return
            self._revision += 1
            self._behind += max(grown, 1)
            now = time.monotonic()
            if self._behind >= _CHARACTERS and self._trouble is None:
                self._due = now
            elif self._due is None:
                self._due = now + _DELAY_S
            self._changed.notify_all()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until all that was said is on disk. False: it is not, see `trouble`, or the time was up."""
        with self._changed:
            if self._end is None and (self._tried < self._revision or self._trouble is not None):
                self._act_now()
            wanted = self._revision
            in_time = self._changed.wait_for(lambda: self._tried >= wanted, timeout_s)
            return in_time and self._trouble is None

    def saved(self, text: str, fingerprint: Fingerprint) -> None:
        """The file on disk now holds `text`. Where that is the newest text, the journal goes."""
        with self._changed:
            self._base = _Base(text, fingerprint)
            self._act_now()

    def close(self, *, discard: bool, timeout_s: float = 2.0) -> None:
        """End the journal: remove it, or write what is left and keep it for a recovery. Does nothing twice."""
        with self._changed:
            if self._end is None:
                self._end = "discard" if discard else "keep"
                self._act_now()
        self._thread.join(timeout_s)

    def _act_now(self) -> None:
        self._revision += 1
        self._due = time.monotonic()
        self._changed.notify_all()

    def _run(self) -> None:
        end = None
        while end is None:
            with self._changed:
                while (wait_s := self._wait_s()) != 0:
                    self._changed.wait(wait_s)
                end = self._end
                work = _Work(self._latest, self._base, end, self._revision)
                self._behind, self._due = 0, None
            trouble = self._carry_out(work)
            with self._changed:
                self._tried = work.revision
                self._trouble = trouble and (self._trouble or trouble)
                if trouble is not None and self._due is None:
                    self._due = time.monotonic() + _RETRY_S
                self._changed.notify_all()
        self._file.close()

    def _wait_s(self) -> float | None:
        """How long until there is something to write; None while nothing is."""
        return None if self._due is None else max(self._due - time.monotonic(), 0.0)

    def _carry_out(self, work: _Work) -> str | None:
        """Bring the file to `work`; what went wrong, as a sentence."""
        level = work.latest.text == work.base.text
        known = work.base.fingerprint
        try:
            if work.end == "discard" or (
                level and (work.end == "keep" or not self._file.departs_from(known))
            ):
                self._file.remove()
            else:
                self._file.write(work.latest.text, work.latest.cursor, known)
        except OSError as error:
            return _sentence(error.strerror)
        except Exception as error:  # noqa: BLE001  a fault of ours must not end the thread that guards the text
            _log.exception("the recovery journal failed")
            return _sentence(type(error).__name__)
        return None


def _sentence(reason: str | None) -> str:
    return f"Unsaved text is not protected against a crash ({reason or 'the disk failed'}). Save often."
