"""Exported data sets: written to private files, recorded with the events they stand on, found again when those go.

The record comes before the file, so that there is never a file a purge would not know of.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller import library, paths
from storyteller.atomic import write_atomic
from storyteller.disk import is_there
from storyteller.errors import LibraryError, UserError
from storyteller.feedback import consent, rows
from storyteller.feedback.export import build
from storyteller.feedback.history import read_history
from storyteller.training.run_folder import run_folders
from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator

    from storyteller.feedback.export import DataKind, DataSet
    from storyteller.feedback.log import FeedbackLog

_LARGEST_CARD: Final = 1 << 20  # bytes


class TooLittleFeedback(UserError):  # noqa: N818 - it says what there is
    """The log does not hold enough for this data set yet."""

    title = "There is not enough feedback yet"

    def __init__(self, dataset: DataSet) -> None:
        super().__init__(f"{dataset.kind} has {', '.join(dataset.missing)}. Write on, and try again later.")
        self.dataset = dataset


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of data sets that may not exist any longer.

    Attributes:
        files: the files removed.
        left: files that were changed since they were exported; the writer has to look at them.
        adapters: the adapters trained on any of the data sets, by their cards.
        runs: the genres whose training is under way, or unfinished, with any of them.
    """

    files: tuple[Path, ...] = ()
    left: tuple[Path, ...] = ()
    adapters: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


def prepare(log: FeedbackLog, kind: DataKind, *, genre: str | None = None, holdout: bool = False) -> DataSet:
    """The data set as it would be exported now, without anything being written; it may lack its minimum."""
    with log.reading() as connection:
        if connection is None:
            return build(kind, (), genre=genre, holdout=holdout)
        history = read_history(connection)
        refused = {
            found.record.id
            for found in history
            if not consent.allowed_by_generation(connection, found.record.id, log.refusals)
        }
    return build(kind, history, genre=genre, holdout=holdout, refused=refused)


def enough(dataset: DataSet) -> DataSet:
    """`dataset`, which reaches its minimum.

    Raises:
        TooLittleFeedback: it does not.
    """
    if dataset.missing:
        raise TooLittleFeedback(dataset)
    return dataset


def export(
    log: FeedbackLog,
    kind: DataKind,
    *,
    to: Path | None = None,
    genre: str | None = None,
    holdout: bool = False,
) -> tuple[DataSet, Path]:
    """Write a data set to the file `to`, or to one of its own in `paths.datasets_dir()`, and record it.

    Raises:
        TooLittleFeedback: a minimum is not reached; nothing was written.
        UserError: `to` is a file that is not an earlier data set, or cannot be written.
        LibraryError: the log cannot be read, or the export cannot be recorded.
    """
    dataset = enough(prepare(log, kind, genre=genre, holdout=holdout))
    path = _destination(log, dataset, to)
    identifier, is_new = _record(log, dataset, path, genre=genre, holdout=holdout)
    try:
        write_atomic(path, dataset.data, mode=0o600)
    except OSError as error:
        if is_new:  # else the file of before is still there, and must be found
            _unrecord(log, identifier)
        message = f"{path} cannot be written ({error.strerror or error}). Choose another place with --out."
        raise UserError(message) from error
    if _was_removed(log, identifier):  # by a purge that found the record before there was a file
        path.unlink(missing_ok=True)
        message = "What it is made of was purged while the data set was written; it was removed again."
        raise LibraryError(message)
    return dataset, path


def export_text(
    log: FeedbackLog, kind: DataKind, *, genre: str | None = None, holdout: bool = False
) -> DataSet:
    """A data set for standard output, recorded without a file: no purge can find what is done with it.

    Raises: as `export`.
    """
    dataset = enough(prepare(log, kind, genre=genre, holdout=holdout))
    _record(log, dataset, None, genre=genre, holdout=holdout)
    return dataset


def datasets_using(connection: sqlite3.Connection, generations: Collection[str]) -> set[str]:
    """The ids of the data sets that stand on any event of these generations."""
    found: set[str] = set()
    for generation in generations:
        found.update(
            row["dataset"]
            for row in connection.execute(
                "SELECT DISTINCT dataset FROM used_in JOIN event ON event.id = used_in.event"
                " WHERE event.generation = ?",
                (generation,),
            )
        )
    return found


def recorded_files(connection: sqlite3.Connection) -> dict[str, Path]:
    """Where each data set that was written to a file and not removed was put, by its id."""
    found = connection.execute("SELECT id, path FROM dataset WHERE path IS NOT NULL ORDER BY id").fetchall()
    return {row["id"]: Path(rows.unpack_text(row["path"])) for row in found}


def remove_datasets(connection: sqlite3.Connection, identifiers: Collection[str]) -> Removed:
    """Remove the files of these data sets and name the adapters trained on them. Records stay, without the path.

    A file outside our own folder that is no longer what was exported is left and reported.

    Raises:
        OSError: a file cannot be removed; those before it are.
    """
    gone: list[Path] = []
    left: list[Path] = []
    recorded = connection.execute("SELECT id, hash, path FROM dataset ORDER BY id").fetchall()
    hashes = {row["hash"] for row in recorded}
    condemned = [row for row in recorded if row["id"] in identifiers]
    for row in condemned:
        path = None if row["path"] is None else Path(rows.unpack_text(row["path"]))
        if path is not None and path.is_file():
            present = sha256(path.read_bytes()).hexdigest()
            if present == row["hash"] or path.parent == paths.datasets_dir():
                path.unlink()
                gone.append(path)
            elif present not in hashes:  # else a later export has taken its place
                left.append(path)
                continue
        with library.transaction(connection):
            connection.execute(
                "UPDATE dataset SET path = NULL, removed = ? WHERE id = ?", (time.time(), row["id"])
            )
    marks = {mark for row in condemned for mark in (row["id"], row["hash"])}
    return Removed(files=tuple(gone), left=tuple(left), adapters=trained_on(marks), runs=learning_from(marks))


def trained_on(marks: Collection[str]) -> tuple[str, ...]:
    """The adapters whose `card.json` names any of these data sets, by id or hash, anywhere in it."""
    folder = paths.adapters_dir()
    return tuple(
        str(card.parent.relative_to(folder))
        for card in sorted(folder.rglob("card.json"))
        if not set(_card_strings(card)).isdisjoint(marks)
    )


def learning_from(marks: Collection[str]) -> tuple[str, ...]:
    """The genres whose run, under way or unfinished, names any of these data sets in its `run.json`."""
    return tuple(
        folder.genre
        for folder in run_folders()
        if not set(_card_strings(folder.settings)).isdisjoint(marks)
        and (folder.unfinished or folder.trainer is not None)
    )


def is_removed(log: FeedbackLog, hashes: Collection[str]) -> bool:
    """Whether any of these data sets, which were recorded once, is there no more: purged, or redacted.

    Raises:
        LibraryError: the log cannot be read.
    """
    with log.reading() as connection:
        there = (
            set()
            if connection is None
            else {row["hash"] for row in connection.execute("SELECT hash FROM dataset WHERE removed IS NULL")}
        )
    return not there.issuperset(hashes)


def _card_strings(card: Path) -> Iterator[str]:
    try:
        if card.stat().st_size > _LARGEST_CARD:
            return
        waiting: list[object] = [json.loads(card.read_bytes())]
    except (OSError, ValueError, RecursionError):
        return  # a card that cannot be read names nothing
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as table:
                waiting += table.values()
            case list() as items:
                waiting += items
            case _:
                pass


def _destination(log: FeedbackLog, dataset: DataSet, to: Path | None) -> Path:
    if to is None:
        try:
            return paths.private_dir(paths.datasets_dir()) / f"{dataset.kind}-{dataset.hash[:12]}.jsonl"
        except OSError as error:
            message = f"{paths.datasets_dir()} cannot be made ({error.strerror or error}). Choose a place with --out."
            raise UserError(message) from error
    path = to.expanduser().absolute()
    if is_there(path) and path not in _own_files(log):
        message = f"{path} is there already and is no data set of storyteller. Choose another name."
        raise UserError(message)
    return path


def _own_files(log: FeedbackLog) -> set[Path]:
    with log.reading() as connection:
        return set() if connection is None else set(recorded_files(connection).values())


def _record(
    log: FeedbackLog, dataset: DataSet, path: Path | None, *, genre: str | None, holdout: bool
) -> tuple[str, bool]:
    """Put down the export and what it stands on; the same export to the same place is recorded once.

    Returns:
        its id, and whether it was not there before.
    """
    query = rows.pack_json({"genre": genre, "holdout": holdout})
    place = None if path is None else rows.pack_text(str(path))
    with log.connected() as connection:
        if connection is None:
            message = f"{log.path} was removed while the data set was made. Try again."
            raise LibraryError(message)
        with library.transaction(connection):
            known = connection.execute(
                "SELECT id FROM dataset WHERE kind = ? AND query = ? AND hash = ? AND path IS ? AND removed IS NULL",
                (dataset.kind, query, dataset.hash, place),
            ).fetchone()
            if known is not None:
                return str(known["id"]), False
            identifier = uuid7()
            connection.execute(
                "INSERT INTO dataset (id, ts, kind, query, size, hash, path) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (identifier, time.time(), dataset.kind, query, dataset.size, dataset.hash, place),
            )
            connection.executemany(
                "INSERT INTO used_in (dataset, event) VALUES (?, ?)",
                [(identifier, event) for event in dataset.events],
            )
    return identifier, True


def _was_removed(log: FeedbackLog, identifier: str) -> bool:
    with log.connected() as connection:
        if connection is None:
            return True
        row = connection.execute("SELECT removed FROM dataset WHERE id = ?", (identifier,)).fetchone()
    return row is None or row["removed"] is not None


def _unrecord(log: FeedbackLog, identifier: str) -> None:
    with suppress(LibraryError), log.connected() as connection:
        if connection is not None:
            with library.transaction(connection):
                connection.execute("DELETE FROM dataset WHERE id = ?", (identifier,))
