"""Redact: what a pattern finds is struck out of everything the library holds of the writer's words.

Token ids spell the words too: where words of a generation were struck out its ids are dropped, it takes part in no
data set and gets no further records. Names (documents, models, adapters) are struck out and nothing more; a genre's
name stays, since consent hangs on it. What the left edge of the model's window had cut in two is not found.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from storyteller import library
from storyteller.errors import LibraryError, UserError
from storyteller.feedback import rows
from storyteller.feedback.datasets import Removed, datasets_using, recorded_files, remove_datasets
from storyteller.feedback.log import drop_orphans

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from storyteller.feedback.log import FeedbackLog

STRUCK_OUT: Final = "\u2588" * 5  # no letters, so that a second look finds nothing


class Column(NamedTuple):
    """A column that holds words, as text or as JSON; `generation` is how its row leads to one."""

    table: str
    name: str
    is_json: bool = False
    generation: str | None = None  # None: these are names


_OF_TAKE: Final = "(SELECT generation FROM take WHERE take.id = survival.take)"
WORDS: Final = (
    Column("generation", "prompt", generation="id"),
    Column("generation", "settings", is_json=True, generation="id"),
    Column("take", "text", generation="generation"),
    Column("event", "payload", is_json=True, generation="generation"),
    Column("survival", "now", generation=_OF_TAKE),
)
NAMES: Final = (
    Column("generation", "document"),
    Column("generation", "model"),
    Column("generation", "adapters", is_json=True),
    Column("anchor", "document"),
    Column("provenance", "document"),
    Column("dataset", "path"),
)


class Redacted(msgspec.Struct, frozen=True, kw_only=True):
    """How many texts and names were struck out of, in how many generations words; data sets with any are removed."""

    texts: int = 0
    generations: int = 0
    datasets: Removed = Removed()


def pattern(text: str, *, regex: bool = False, ignore_case: bool = False) -> re.Pattern[str]:
    """Compile what the writer asks to strike out.

    Raises:
        UserError: it is empty, is no regular expression, or would match the empty text.
    """
    try:
        compiled = re.compile(text if regex else re.escape(text), re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError) as error:
        message = f"{text!r} is not a regular expression ({error}). Leave --regex out to match it as it is."
        raise UserError(message) from error
    if compiled.search(""):
        message = f"{text!r} matches even where there is nothing. Say what is to be struck out."
        raise UserError(message)
    return compiled


def redact(log: FeedbackLog, found: re.Pattern[str]) -> Redacted:
    """Strike out every match, in all documents.

    Raises:
        LibraryError: the library cannot be rewritten or a data set not be removed; run it again.
    """
    try:
        with log.connected() as connection:
            return Redacted() if connection is None else _redact_library(connection, found)
    except OSError as error:
        message = (
            f"{error.filename} cannot be removed ({error.strerror or error}). Mend that, and redact again."
        )
        raise LibraryError(message) from error


def _redact_library(connection: sqlite3.Connection, found: re.Pattern[str]) -> Redacted:
    # The data sets go first, as in a purge: cut short, this finds the same ones when it is run again.
    datasets = datasets_using(connection, _touched(connection, found))
    datasets |= {
        identifier for identifier, path in recorded_files(connection).items() if _in_file(path, found)
    }
    removed = remove_datasets(connection, datasets)
    with library.transaction(connection):
        drop_orphans(connection)
        touched = _touched(connection, found)
        texts = 0
        for generation in touched:
            texts += _strike_seams(connection, generation, found)
            _forget_ids(connection, generation)
        for column in (*WORDS, *NAMES):
            texts += _strike(connection, column, found)
    connection.execute("VACUUM")
    return Redacted(texts=texts, generations=len(touched), datasets=removed)


def _touched(connection: sqlite3.Connection, found: re.Pattern[str]) -> set[str]:
    """The generations in whose words anything matches, across the seam of a prompt and a take too."""
    touched: set[str] = set()
    for column in WORDS:
        query = f'SELECT {column.generation} AS generation, "{column.name}" AS held FROM {column.table}'  # noqa: S608
        touched.update(
            row["generation"]
            for row in connection.execute(query)
            if row["generation"] not in touched and _matches(row["held"], column, found)
        )
    pairs = connection.execute(
        "SELECT generation.id, prompt, text FROM generation JOIN take ON take.generation = generation.id"
    )
    for row in pairs:
        prompt, text = rows.unpack_text(row["prompt"]), rows.unpack_text(row["text"])
        if row["id"] not in touched and _seam(prompt, text, found):
            touched.add(row["id"])
    return touched


def _in_file(path: Path, found: re.Pattern[str]) -> bool:
    """Whether a data set, or its name, has a match."""
    if found.search(str(path)):
        return True
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            return any(found.search(text) for line in lines for text in _strings(json.loads(line)))
    except FileNotFoundError:
        return False
    except ValueError:
        return True  # not what was exported: `remove_datasets` will report it


def _strike(connection: sqlite3.Connection, column: Column, found: re.Pattern[str]) -> int:
    struck = 0
    query = f'SELECT rowid AS number, "{column.name}" AS held FROM {column.table}'  # noqa: S608
    for row in connection.execute(query).fetchall():
        if not _matches(row["held"], column, found):
            continue
        struck += 1
        if column.table == "provenance":  # struck-out names would no longer be unique, or found
            connection.execute("DELETE FROM provenance WHERE rowid = ?", (row["number"],))
        elif column.is_json:
            value = _struck_json(rows.unpack_json(row["held"]), found)
            _put(connection, column, row["number"], rows.pack_json(value))
        else:
            text = found.sub(STRUCK_OUT, rows.unpack_text(row["held"]))
            _put(connection, column, row["number"], rows.pack_text(text))
    return struck


def _strike_seams(connection: sqlite3.Connection, generation: str, found: re.Pattern[str]) -> int:
    """Strike out what begins in the prompt and ends in a take, in both."""
    (held,) = connection.execute("SELECT prompt FROM generation WHERE id = ?", (generation,)).fetchone()
    prompt = rows.unpack_text(held)
    first, struck = len(prompt), 0
    takes = connection.execute("SELECT id, text FROM take WHERE generation = ?", (generation,)).fetchall()
    for row in takes:
        text = rows.unpack_text(row["text"])
        seam = _seam(prompt, text, found)
        if seam is not None:
            first, struck = min(first, seam[0]), struck + 1
            rest = rows.pack_text(STRUCK_OUT + text[seam[1] - len(prompt) :])
            connection.execute("UPDATE take SET text = ? WHERE id = ?", (rest, row["id"]))
    if struck:
        rest = rows.pack_text(prompt[:first] + STRUCK_OUT)
        connection.execute("UPDATE generation SET prompt = ? WHERE id = ?", (rest, generation))
    return struck


def _forget_ids(connection: sqlite3.Connection, generation: str) -> None:
    connection.execute("UPDATE generation SET prompt_ids = x'', redacted = 1 WHERE id = ?", (generation,))
    connection.execute("UPDATE take SET ids = x'' WHERE generation = ?", (generation,))


def _seam(prompt: str, text: str, found: re.Pattern[str]) -> tuple[int, int] | None:
    """Start and end, in the prompt and text as one, of the match that crosses from one into the other."""
    edge = len(prompt)
    crossing = (match.span() for match in found.finditer(prompt + text) if match.start() < edge < match.end())
    return next(crossing, None)


def _matches(held: bytes | None, column: Column, found: re.Pattern[str]) -> bool:
    if held is None:
        return False
    texts = _strings(rows.unpack_json(held)) if column.is_json else (rows.unpack_text(held),)
    return any(found.search(text) for text in texts)


def _strings(value: object) -> Iterable[str]:
    """The strings in a JSON value; keys are words of ours."""
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from _strings(item)
        case list():
            for item in value:
                yield from _strings(item)
        case _:
            return


def _struck_json(value: object, found: re.Pattern[str]) -> object:
    match value:
        case str():
            return found.sub(STRUCK_OUT, value)
        case dict():
            return {key: _struck_json(item, found) for key, item in value.items()}
        case list():
            return [_struck_json(item, found) for item in value]
        case _:
            return value


def _put(connection: sqlite3.Connection, column: Column, rowid: int, held: bytes) -> None:
    connection.execute(
        f'UPDATE {column.table} SET "{column.name}" = ? WHERE rowid = ?',  # noqa: S608
        (held, rowid),
    )
