"""Purge: what the writer wants gone is gone from every file of ours, and cannot come back.

In this order, so that a purge cut short can be run again and misses nothing: derived data sets, damaged libraries
that were set aside, the records themselves under tombstones of their ids, then the library rewritten without the
room they took.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from storyteller import library, paths
from storyteller.errors import LibraryError
from storyteller.feedback import rows
from storyteller.feedback.datasets import Removed, datasets_using, remove_datasets
from storyteller.feedback.log import bury, drop_orphans

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection
    from pathlib import Path

    from storyteller.feedback.log import FeedbackLog


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What to purge: everything, one document, or whatever was written or touched since a moment (Unix seconds)."""

    everything: bool = False
    document: str | None = None
    since: float | None = None


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """What a purge removed. `set_aside` are damaged or newer libraries, which cannot be purged in part."""

    generations: int = 0
    takes: int = 0
    events: int = 0
    datasets: Removed = Removed()
    set_aside: tuple[Path, ...] = ()


def purge(log: FeedbackLog, selection: Selection) -> Purged:
    """Remove what is selected. Consent stays as it is.

    Raises:
        LibraryError: something could not be removed or the library not be rewritten; run it again.
    """
    with suppress(library.LibrarySetAside), log.connected():
        pass  # a library found damaged now lies with the others that are removed
    aside: list[Path] = []
    try:
        with log.connected() as connection:
            purged = Purged() if connection is None else _purge_library(connection, selection)
        for path in library.set_aside_files(log.path):
            path.unlink()
            aside.append(path)
        unknown = _emptied(paths.datasets_dir()) if selection.everything else ()
    except OSError as error:
        message = (
            f"{error.filename} cannot be removed ({error.strerror or error}). Mend that, and purge again."
        )
        raise LibraryError(message) from error
    datasets = msgspec.structs.replace(purged.datasets, files=purged.datasets.files + unknown)
    return msgspec.structs.replace(purged, datasets=datasets, set_aside=tuple(aside))


def to_be_removed(log: FeedbackLog, selection: Selection) -> Purged:
    """What `purge` would remove, but for data-set files; nothing is changed."""
    with log.reading() as connection:
        found = [] if connection is None else _selected(connection, selection)
        counts = (0, 0) if connection is None else _counted(connection, found)
    return Purged(
        generations=len(found),
        takes=counts[0],
        events=counts[1],
        set_aside=tuple(library.set_aside_files(log.path)),
    )


def _purge_library(connection: sqlite3.Connection, selection: Selection) -> Purged:
    generations = _selected(connection, selection)
    used = datasets_using(connection, generations)
    if selection.everything:
        used |= {row["id"] for row in connection.execute("SELECT id FROM dataset")}
    removed = remove_datasets(connection, used)
    takes, events = _counted(connection, generations)
    with library.transaction(connection):
        for generation in generations:
            ids = [
                row["id"]
                for row in connection.execute("SELECT id FROM take WHERE generation = ?", (generation,))
            ]
            bury(connection, [generation, *ids])
            connection.execute("DELETE FROM generation WHERE id = ?", (generation,))
        drop_orphans(connection)  # whose they are nobody can tell
        _delete_provenance(connection, selection)
    connection.execute("VACUUM")
    return Purged(generations=len(generations), takes=takes, events=events, datasets=removed)


def _selected(connection: sqlite3.Connection, selection: Selection) -> list[str]:
    if selection.everything:
        found = connection.execute("SELECT id FROM generation").fetchall()
    elif selection.document is not None:
        found = connection.execute(
            "SELECT id FROM generation WHERE document_hash = ?", (rows.name_hash(selection.document),)
        ).fetchall()
    else:
        found = connection.execute(
            "SELECT id FROM generation WHERE ts >= :since"
            " UNION SELECT generation FROM event WHERE ts >= :since"
            " UNION SELECT take.generation FROM take JOIN survival ON survival.take = take.id"
            " WHERE survival.ts >= :since",
            {"since": selection.since},
        ).fetchall()
    return [str(row[0]) for row in found]


def _counted(connection: sqlite3.Connection, generations: Collection[str]) -> tuple[int, int]:
    takes = events = 0
    for generation in generations:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM take WHERE generation = :it) AS takes,"
            " (SELECT count(*) FROM event WHERE generation = :it) AS events",
            {"it": generation},
        ).fetchone()
        takes, events = takes + row["takes"], events + row["events"]
    return takes, events


def _delete_provenance(connection: sqlite3.Connection, selection: Selection) -> None:
    if selection.everything:
        connection.execute("DELETE FROM provenance")
    elif selection.document is not None:
        connection.execute("DELETE FROM provenance WHERE document = ?", (rows.pack_text(selection.document),))
    else:
        connection.execute("DELETE FROM provenance WHERE ts >= ?", (selection.since,))


def _emptied(folder: Path) -> tuple[Path, ...]:
    """Remove the data sets that only a lost library knew of; which they were."""
    found = tuple(sorted(folder.glob("*.jsonl")))
    for path in found:
        path.unlink()
    return found
