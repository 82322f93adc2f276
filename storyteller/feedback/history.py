"""The log read back: each generation with its takes, and each take with what was done about it and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import field

from storyteller.feedback import rows

if TYPE_CHECKING:
    import sqlite3

    from storyteller.feedback.records import FeedbackEvent, GenerationRecord, Horizon, Survival, TakeRecord

# Put together from the constants here and nothing else, hence the S608.
_WHERE: Final = """
    WHERE (:document IS NULL OR generation.document_hash = :document) AND (:genre IS NULL OR generation.genre = :genre)
"""
_OF_TAKES: Final = " JOIN generation ON generation.id = take.generation "
_GENERATIONS: Final = f"SELECT generation.* FROM generation {_WHERE} ORDER BY generation.id"  # noqa: S608
_TAKES: Final = f'SELECT take.* FROM take {_OF_TAKES} {_WHERE} ORDER BY take."index", take.id'  # noqa: S608
_EVENTS: Final = f"""
    SELECT event.* FROM event JOIN generation ON generation.id = event.generation {_WHERE} ORDER BY event.sequence
"""  # noqa: S608
_SURVIVAL: Final = f"""
    SELECT survival.* FROM survival JOIN take ON take.id = survival.take {_OF_TAKES} {_WHERE}
"""  # noqa: S608


class TakeHistory(msgspec.Struct):
    """A take, its events in the order they were committed, and its measurements."""

    record: TakeRecord
    whole: bool  # False: its text was cut when it was kept
    events: list[FeedbackEvent] = field(default_factory=list)
    survival: dict[Horizon, Survival] = field(default_factory=dict)


class GenerationHistory(msgspec.Struct):
    """A generation and everything that hangs on it; `events` are those about no single take."""

    record: GenerationRecord
    document_hash: str
    whole: bool  # False: its prompt was cut when it was kept
    redacted: bool
    takes: list[TakeHistory] = field(default_factory=list)
    events: list[FeedbackEvent] = field(default_factory=list)


def read_history(
    connection: sqlite3.Connection, *, document: str | None = None, genre: str | None = None
) -> list[GenerationHistory]:
    """All generations, or those of one document, one genre or both: oldest first, as their ids sort."""
    chosen = {
        "document": None if document is None else rows.name_hash(document),
        "genre": None if genre is None else rows.pack_text(genre),
    }
    generations: dict[str, GenerationHistory] = {}
    takes: dict[str, TakeHistory] = {}
    for row in connection.execute(_GENERATIONS, chosen):
        generations[row["id"]] = GenerationHistory(
            rows.generation_from(row), row["document_hash"], not row["capped"], bool(row["redacted"])
        )
    # Below, what belongs to nothing is passed over: on its disk a bit of an id was turned.
    for row in connection.execute(_TAKES, chosen):
        if row["generation"] in generations:
            takes[row["id"]] = TakeHistory(rows.take_from(row), not row["capped"])
            generations[row["generation"]].takes.append(takes[row["id"]])
    for row in connection.execute(_EVENTS, chosen):
        event = rows.event_from(row)
        about = generations.get(event.generation) if event.take is None else takes.get(event.take)
        if about is not None:
            about.events.append(event)
    for row in connection.execute(_SURVIVAL, chosen):
        look = rows.survival_from(row)
        if look.take in takes:
            takes[look.take].survival[look.horizon] = look
    return list(generations.values())
