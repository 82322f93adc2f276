"""Takes and provenance kept with a document between two openings, where the writer agreed to it.

Offsets and spans are true for one text only, named by its digest. A text that was changed elsewhere meanwhile keeps
the takes whose surroundings are still found in it.
"""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from storyteller.feedback import rows
from storyteller.manuscript.takes import ShownTake

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from storyteller.feedback.log import FeedbackLog

_TAIL: Final = 60  # characters of the prompt by which a spot is found again
_SHORTEST_TAIL: Final = 12  # fewer occur too often to tell a spot
_ANCHORED: Final = """
    SELECT take.*, anchor."offset", anchor.digest, generation.settings, generation.genre, generation.model,
        generation.prompt
    FROM anchor JOIN take ON take.id = anchor.take JOIN generation ON generation.id = take.generation
    WHERE anchor.document = ? AND NOT generation.redacted
    ORDER BY take.id
"""


def digest(text: str) -> str:
    """What tells whether this is the text that offsets were counted in."""
    return blake2b(rows.pack_text(text), digest_size=16).hexdigest()


def keep_takes(log: FeedbackLog, document: str, text: str, anchors: Iterable[tuple[str, int]]) -> int:
    """Put down where takes that are in the log (`TakeTree.anchors`) stand in `text`, as it was saved.

    Returns how many were kept: those recorded, and still agreed to.
    """
    kept = 0
    name, fits = rows.pack_text(document), digest(text)
    with log.updating() as connection:
        if connection is None:
            return 0
        for take, offset in anchors:
            if log.agreed_about_take(connection, take):
                connection.execute(
                    'INSERT OR REPLACE INTO anchor (take, document, "offset", digest) VALUES (?, ?, ?, ?)',
                    (take, name, offset, fits),
                )
                kept += 1
    return kept


def forget_takes(log: FeedbackLog, takes: Iterable[str]) -> None:
    """Takes come back with their document no more; what the log has about them stays."""
    with log.updating() as connection:
        if connection is not None:
            connection.executemany("DELETE FROM anchor WHERE take = ?", [(take,) for take in takes])


def restore_takes(log: FeedbackLog, document: str, text: str) -> list[ShownTake]:
    """The takes kept with a document, oldest first, anchored in `text` as it is now. Ready for `TakeTree.add`."""
    with log.reading() as connection:
        if connection is None:
            return []
        found = connection.execute(_ANCHORED, (rows.pack_text(document),)).fetchall()
    fits = digest(text)
    takes = []
    for row in found:
        offset = row["offset"] if row["digest"] == fits else _found_again(row, text)
        if offset is not None and offset <= len(text):
            takes.append(_shown(row, offset))
    return takes


def keep_provenance(log: FeedbackLog, document: str, genre: str, text: str, spans: str) -> bool:
    """Put down who wrote what in `text`, as it was saved; `spans` is `Provenance`'s compact JSON."""
    with log.writing(document, genre) as connection:
        if connection is None:
            return False
        connection.execute(
            "INSERT OR REPLACE INTO provenance (document, ts, digest, spans) VALUES (?, ?, ?, ?)",
            (rows.pack_text(document), time.time(), digest(text), rows.pack_text(spans)),
        )
    return True


def restore_provenance(log: FeedbackLog, document: str, text: str) -> str | None:
    """What `keep_provenance` kept for exactly this text, or None."""
    with log.reading() as connection:
        if connection is None:
            return None
        row = connection.execute(
            "SELECT digest, spans FROM provenance WHERE document = ?", (rows.pack_text(document),)
        ).fetchone()
    return None if row is None or row["digest"] != digest(text) else rows.unpack_text(row["spans"])


def _found_again(row: sqlite3.Row, text: str) -> int | None:
    """Where the end of the take's prompt now is, nearest to where it was; None: nowhere, or it could be anywhere."""
    tail = rows.unpack_text(row["prompt"])[-_TAIL:]
    if len(tail) < _SHORTEST_TAIL:
        return None
    was = max(0, row["offset"] - len(tail))
    before, after = text.rfind(tail, 0, was + len(tail)), text.find(tail, was)
    places = [place for place in (before, after) if place >= 0]
    if not places:
        return None
    return min(places, key=lambda place: abs(place - was)) + len(tail)


def _shown(row: sqlite3.Row, offset: int) -> ShownTake:
    take = rows.take_from(row)
    return ShownTake(
        id=take.id,
        generation=take.generation,
        index=take.index,
        text=take.text,
        ids=take.ids,
        seed=take.seed,
        settings=rows.unpack_table(row["settings"]),
        finish=take.finish,
        mean_logprob=take.logprob_mean,
        shown_ms=take.shown_ms,
        anchor=offset,
        genre=rows.unpack_text(row["genre"]),
        model=rows.unpack_text(row["model"]),
    )
