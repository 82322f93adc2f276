"""Text that a crash left behind, found again. Nothing here ever writes to a manuscript."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from storyteller.disk import read_all
from storyteller.errors import DocumentError
from storyteller.liveness import is_alive
from storyteller.manuscript.load import Loaded, load
from storyteller.manuscript.records import FAMILY, MAGIC, Cursor, Header, Replayed, replay
from storyteller.manuscript.shelf import header_of, journals_of, named_journals, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storyteller.manuscript.encoding import Encoding
    from storyteller.manuscript.fingerprint import Fingerprint

_MOST_BYTES: Final = 1 << 30
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovery:
    """Text that is in no file.

    Attributes:
        journal: where it lies.
        document: the file it belongs to; None for a document without a name.
        text: all of it, as it was on the screen.
        cursor: line and column.
        when: the wall clock's seconds when it was written, to be shown.
        encoding: how the document was encoded.
        kind: `unsaved` edits, or the text `before` a save that was interrupted.
        complete: false where the journal breaks off in a record: later edits may be missing.
        older: the file was changed since by another program, or by another storyteller.
        note: what the writer should know before choosing, as a sentence; mostly None.
    """

    journal: Path
    document: Path | None
    text: str
    cursor: Cursor
    when: float
    encoding: Encoding
    kind: Literal["unsaved", "before"]
    complete: bool
    older: bool
    note: str | None


def find_recoveries(
    document: Path | None,
    *,
    include_older: bool = False,
    on_skipped: Callable[[str], None] = _log.warning,
) -> list[Recovery]:
    """What can be recovered for a document, the newest first.

    Journals that another running storyteller writes are not offered, nor those that say what the file says: these
    are removed. Load a recovery as a modified buffer, and `discard` it only once it is saved or in a new journal.

    Args:
        document: the file about to be opened; None for documents without a name and for those whose file is gone.
        include_older: also what is older than the file now on disk. It is kept, but not worth a question at start.
        on_skipped: receives a sentence for every journal that cannot be read.
    """
    places = journals_of(document) if document is not None else _without_file()
    found = []
    for place in places:
        try:
            candidate = _examine(place, on_skipped)
        except OSError as error:
            on_skipped(f"The recovery journal {place} cannot be read ({error.strerror}).")
            continue
        if candidate is not None and (include_older or not candidate[1].older):
            found.append(candidate)
    return [recovery for _, recovery in sorted(found, key=lambda pair: pair[0], reverse=True)]


def discard(recovery: Recovery) -> None:
    """Remove a recovery for good; never raises."""
    try:
        recovery.journal.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("the recovery journal %s cannot be removed: %s", recovery.journal, error.strerror)


def _without_file() -> Iterator[Path]:
    yield from journals_of(None)
    for place in named_journals():
        header = header_of(place)
        if header is not None and header.document is not None and not os.path.lexists(header.document):
            yield place


def _examine(place: Path, on_skipped: Callable[[str], None]) -> tuple[tuple[bool, int], Recovery] | None:
    """The journal's recovery with its place in the order, or None where it offers nothing."""
    with taken(place) as (fd, ours):
        status = os.fstat(fd)
        if ours is False or not stat.S_ISREG(status.st_mode):
            return None
        data = read_all(fd, _MOST_BYTES)
        replayed = replay(data)
        if replayed is None:
            on_skipped(_set_aside(place, data))
            return None
        header = replayed.header
        if ours is None and is_alive(header.process):
            return None
        recovery = _judge(place, replayed, status.st_mtime_ns)
        if recovery is None:
            with contextlib.suppress(OSError):
                place.unlink()
            return None
        return (header.purpose == "unsaved", header.generation), recovery


def _set_aside(place: Path, data: bytes) -> str:
    if data.startswith(FAMILY) and not data.startswith(MAGIC):
        return f"The recovery journal {place} is of another version of storyteller; it was left alone."
    aside = place.with_suffix(".damaged")
    with contextlib.suppress(OSError):
        place.rename(aside)
    return f"The recovery journal {aside} is damaged and holds no whole text; it is not used."


def _judge(place: Path, replayed: Replayed, written_ns: int) -> Recovery | None:
    """The recovery, unless the file holds that text already."""
    header = replayed.header
    document = None if header.document is None else Path(os.fsdecode(header.document))
    now = _load(document)
    if header.purpose == "before":
        if now is not None and _digest(now.fingerprint) in {_digest(header.on_disk), header.replaced_by}:
            return None
        older, notes = False, ["Saving was interrupted; this is the text as it was before that."]
    else:
        if replayed.text == (now.text if now is not None else ""):
            return None
        older, notes = _compare(header, now, written_ns)
    if not replayed.complete:
        notes.append("The journal breaks off; the last words before the end may be missing.")
    return Recovery(
        journal=place,
        document=document,
        text=replayed.text,
        cursor=replayed.cursor,
        when=replayed.when,
        encoding=header.encoding,
        kind=header.purpose,
        complete=replayed.complete,
        older=older,
        note=" ".join(notes) or None,
    )


def _compare(header: Header, now: Loaded | None, written_ns: int) -> tuple[bool, list[str]]:
    """Whether the file is newer than the journal, and what to say about it.

    Both times were given by the file system; they count only where the file is another than the one that the
    journal departs from, so that a clock set back hides nothing.
    """
    version = now.fingerprint if now is not None else None
    if _digest(version) == _digest(header.on_disk):
        return False, []
    if version is None:
        return False, ["The file itself is gone."]
    older = version.mtime_ns > written_ns
    return older, [f"The file was changed {'after' if older else 'before'} this text was written."]


def _load(document: Path | None) -> Loaded | None:
    if document is None:
        return None
    try:
        return load(document)
    except DocumentError:
        return None


def _digest(version: Fingerprint | None) -> bytes:
    return b"" if version is None else version.digest
