"""The feedback log over the library: nothing is written without consent, and what a method says it wrote is on disk.

Consent is read inside the transaction that writes. Without consent no file is made, opened for writing or changed.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from storyteller import library, paths
from storyteller.errors import LibraryError
from storyteller.feedback import consent, rows
from storyteller.feedback.records import UNNAMED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from storyteller.feedback.consent import Scope
    from storyteller.feedback.records import FeedbackEvent, GenerationRecord, Survival, TakeRecord

_PUT_GENERATION: Final = """
    INSERT INTO generation (id, session, ts, document, document_hash, revision, genre, cursor, model, model_hash, adapters, settings,
        seed, prompt, prompt_ids, prompt_id_bytes, prompt_truncated, capped, first_token_ms, total_ms)
    VALUES (:id, :session, :ts, :document, :document_hash, :revision, :genre, :cursor, :model, :model_hash, :adapters, :settings,
        :seed, :prompt, :prompt_ids, :prompt_id_bytes, :prompt_truncated, :capped, :first_token_ms, :total_ms)
    ON CONFLICT (id) DO UPDATE SET first_token_ms = excluded.first_token_ms, total_ms = excluded.total_ms
"""
_PUT_TAKE: Final = """
    INSERT INTO take (id, generation, "index", text, ids, id_bytes, capped, logprob_sum, logprob_mean, finish,
        shown, shown_ms, seed)
    VALUES (:id, :generation, :index, :text, :ids, :id_bytes, :capped, :logprob_sum, :logprob_mean, :finish,
        :shown, :shown_ms, :seed)
    ON CONFLICT (id) DO UPDATE SET text = excluded.text, ids = excluded.ids, id_bytes = excluded.id_bytes,
        capped = excluded.capped, logprob_sum = excluded.logprob_sum, logprob_mean = excluded.logprob_mean,
        finish = excluded.finish, shown = max(shown, excluded.shown), shown_ms = max(shown_ms, excluded.shown_ms)
"""
_PUT_EVENT: Final = """
    INSERT INTO event (id, ts, monotonic, generation, take, kind, start, "end", elapsed_ms, payload)
    VALUES (:id, :ts, :monotonic, :generation, :take, :kind, :start, :end, :elapsed_ms, :payload)
    ON CONFLICT (id) DO NOTHING
"""
_PUT_SURVIVAL: Final = """
    INSERT OR REPLACE INTO survival (take, horizon, ts, elapsed_s, length, kept, overlap, distance, now, capped)
    VALUES (:take, :horizon, :ts, :elapsed_s, :length, :kept, :overlap, :distance, :now, :capped)
"""


class FeedbackLog:
    """The log as seen from one thread: the thread that first uses it.

    Every `LibraryError` it raises is ready to be shown. After a `LibrarySetAside` the log goes on: the
    consent that stood in the library is gone with it, so nothing is written until the writer agrees again.

    Args:
        path: the library; the default is `paths.library_path()`.
        refusals: what `refusals` was when the settings last stored it.
        patience_s: how long to wait for another process that holds the library.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        refusals: Collection[str] = (),
        patience_s: float = library.PATIENCE_S,
    ) -> None:
        self.path = paths.library_path() if path is None else path
        self._refusals = frozenset(refusals)  # replaced, never changed: other threads may read it
        self._patience_s = patience_s
        self._connection: sqlite3.Connection | None = None
        self._file: library.FileId | None = None  # what is open

    # consent

    @property
    def refusals(self) -> tuple[str, ...]:
        """Every no that stands, as the settings keep it; the same whenever the same scopes are refused."""
        return tuple(sorted(self._refusals))

    def consent(self, scope: Scope = consent.EVERYTHING) -> bool | None:
        """The answer given for this scope, or None where the writer was not asked yet."""
        if scope.refusal in self._refusals:
            return False
        with self.connected() as connection:
            return None if connection is None else consent.answer(connection, scope)

    def allows(self, document: str, genre: str = "") -> bool:
        """Whether a record about this document in this genre would be written now."""
        if any(scope.refusal in self._refusals for scope in consent.scopes_of(document, genre)):
            return False
        with self.connected() as connection:
            return connection is not None and consent.allowed(
                connection, consent.scopes_of(document, genre), self._refusals
            )

    def set_consent(self, scope: Scope, *, on: bool) -> None:
        """Put down the writer's answer. A no makes no library: store `refusals` in the settings after either answer."""
        if on:
            with self._guarded():
                connection = self._existing() or self._created()
                with library.transaction(connection):
                    consent.record_answer(connection, scope, on=True)
            self._refusals -= {scope.refusal}
            return
        self._refusals |= {scope.refusal}
        with self._guarded():
            existing = self._existing()
            if existing is not None:
                with library.transaction(existing):
                    consent.record_answer(existing, scope, on=False)

    def renamed(self, before: str, now: str) -> bool:
        """A document has another name from now on, or another one goes on with its text.

        A no to it holds for that name as well, and what was written of a page without a file comes along with it.

        Returns:
            whether there was a no: store `refusals` in the settings then.
        """
        refused = self.consent(consent.Scope.of_document(before)) is False
        if refused:
            self.set_consent(consent.Scope.of_document(now), on=False)
        if before.startswith(UNNAMED):
            with self.connected() as connection:
                if connection is not None:
                    connection.execute(
                        "UPDATE generation SET document = ?, document_hash = ? WHERE document_hash = ?",
                        (rows.pack_text(now), rows.name_hash(now), rows.name_hash(before)),
                    )
        return refused

    # records: each says whether it was written

    def generation(self, record: GenerationRecord) -> bool:
        """Put down a request, or the times of one already there."""
        with self.writing(record.document, record.genre) as connection:
            if connection is None or _buried(connection, record.id) or _redacted(connection, record.id):
                return False
            connection.execute(_PUT_GENERATION, rows.generation_row(record))
        return True

    def take(self, record: TakeRecord) -> bool:
        """Put down a take, or what became of one already there. False as well where its generation is not here."""
        with self.writing_about(record.generation) as connection:
            if connection is None or _buried(connection, record.id):
                return False
            connection.execute(_PUT_TAKE, rows.take_row(record))
        return True

    def event(self, record: FeedbackEvent) -> bool:
        """Put down what the writer did; the same event twice is one. False as well where its take is not here."""
        with self.writing_about(record.generation) as connection:
            if connection is None:
                return False
            if record.take is not None and _generation_of(connection, record.take) != record.generation:
                return False
            connection.execute(_PUT_EVENT, rows.event_row(record))
        return True

    def survival(self, *records: Survival) -> int:
        """Put down what still stands of takes, in one transaction, each in place of an earlier one at its horizon.

        Returns how many were written.
        """
        written = 0
        with self.updating() as connection:
            if connection is None:
                return 0
            for record in records:
                if self.agreed_about_take(connection, record.take):
                    connection.execute(_PUT_SURVIVAL, rows.survival_row(record))
                    written += 1
        return written

    # for those who keep other things in the library, or read it

    @contextmanager
    def updating(self) -> Iterator[sqlite3.Connection | None]:
        """A transaction, or None without a library or where everything is refused. Who inserts in it asks for consent."""
        with self._guarded():
            refused = consent.EVERYTHING.refusal in self._refusals
            connection = None if refused else self._existing()
            if connection is None:
                yield None
            else:
                with library.transaction(connection):
                    yield connection

    @contextmanager
    def writing(self, document: str, genre: str = "") -> Iterator[sqlite3.Connection | None]:
        """A transaction in which the writer's consent for this document and genre was found, or None without it."""
        with self.updating() as connection:
            agreed = connection is not None and consent.allowed(
                connection, consent.scopes_of(document, genre), self._refusals
            )
            yield connection if agreed else None

    @contextmanager
    def writing_about(self, generation: str) -> Iterator[sqlite3.Connection | None]:
        """As `writing`, for the document and genre of a generation; None too where it is gone or was redacted."""
        with self.updating() as connection:
            agreed = connection is not None and self._agreed_about(connection, generation)
            yield connection if agreed else None

    def agreed_about_take(self, connection: sqlite3.Connection, take: str) -> bool:
        """Whether a take is in the log and more may be written about it now. Called inside a transaction."""
        generation = _generation_of(connection, take)
        return generation is not None and self._agreed_about(connection, generation)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """One consistent view of the library, or None where there is none. Others cannot commit meanwhile: be quick."""
        with self.connected() as connection:
            if connection is None:
                yield None
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection | None]:
        """The library in autocommit mode, or None: for a query, and for what the writer orders (purge, redact)."""
        with self._guarded():
            yield self._existing()

    def close(self) -> None:
        """Let go of the library; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection, self._file = None, None

    def _agreed_about(self, connection: sqlite3.Connection, generation: str) -> bool:
        return not _redacted(connection, generation) and consent.allowed_by_generation(
            connection, generation, self._refusals
        )

    def _existing(self) -> sqlite3.Connection | None:
        """The open library; opened anew where the file at its place is another one, None where there is none."""
        there = library.file_at(self.path)
        if self._connection is not None and self._file == there:
            return self._connection
        self.close()
        if there is None:
            return None
        return self._remember(library.connect_existing(self.path, patience_s=self._patience_s))

    def _created(self) -> sqlite3.Connection:
        connection = library.connect(self.path, patience_s=self._patience_s)
        self._remember(connection)
        return connection

    def _remember(self, connection: sqlite3.Connection | None) -> sqlite3.Connection | None:
        self._connection = connection
        if connection is not None:
            self._file = library.file_at(self.path)
        return connection

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Failures of the library as a `LibraryError`; a library found damaged is set aside."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            opened = self._file
            self.close()
            if opened is not None and library.is_damage(error):
                raise library.set_aside_damaged(self.path, opened) from error
            message = f"{self.path} cannot be used ({error}). Your text is not affected; check the disk."
            raise LibraryError(message) from error


def grave(identifier: str) -> str:
    """What a tombstone says of a purged id: enough to know it again, nothing of what it was."""
    return blake2b(identifier.encode(), digest_size=16).hexdigest()


def bury(connection: sqlite3.Connection, identifiers: Collection[str]) -> None:
    """Put up a tombstone for each purged id. Called inside a transaction."""
    connection.executemany(
        "INSERT OR IGNORE INTO tombstone (hash, ts) VALUES (?, ?)",
        [(grave(identifier), time.time()) for identifier in identifiers],
    )


def drop_orphans(connection: sqlite3.Connection) -> None:
    """Remove what hangs on a record that is gone, as another program or a turned bit may leave it. In a transaction."""
    for query in (
        "DELETE FROM take WHERE generation NOT IN (SELECT id FROM generation)",
        "DELETE FROM event WHERE generation NOT IN (SELECT id FROM generation)",
        "DELETE FROM event WHERE take NOT IN (SELECT id FROM take)",
        "DELETE FROM survival WHERE take NOT IN (SELECT id FROM take)",
        "DELETE FROM anchor WHERE take NOT IN (SELECT id FROM take)",
        "DELETE FROM used_in WHERE event NOT IN (SELECT id FROM event)",
    ):
        connection.execute(query)


def _buried(connection: sqlite3.Connection, identifier: str) -> bool:
    row = connection.execute("SELECT 1 FROM tombstone WHERE hash = ?", (grave(identifier),)).fetchone()
    return row is not None


def _redacted(connection: sqlite3.Connection, generation: str) -> bool:
    row = connection.execute("SELECT redacted FROM generation WHERE id = ?", (generation,)).fetchone()
    return row is not None and bool(row["redacted"])


def _generation_of(connection: sqlite3.Connection, take: str) -> str | None:
    row = connection.execute("SELECT generation FROM take WHERE id = ?", (take,)).fetchone()
    return None if row is None else str(row["generation"])
