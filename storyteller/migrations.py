"""The library's schema as numbered steps: step n takes a library from version n to n + 1. Steps are only ever added.

Text the writer or the model wrote is a BLOB of UTF-8 in which lone surrogates pass, so that every string
Python can hold comes back as it went in. Seeds are decimal TEXT, since they reach past SQLite's integers.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Migration: TypeAlias = tuple[str, ...]

_FEEDBACK: Final[Migration] = (
    """
    CREATE TABLE generation (
        id               TEXT PRIMARY KEY,
        session          TEXT NOT NULL,
        ts               REAL NOT NULL,
        document         BLOB NOT NULL,
        document_hash    TEXT NOT NULL,      -- the document's name for consent and hold-out, whatever is redacted
        revision         INTEGER NOT NULL,
        genre            BLOB NOT NULL,
        cursor           INTEGER NOT NULL,
        model            BLOB NOT NULL,
        model_hash       TEXT NOT NULL,
        adapters         BLOB NOT NULL,      -- JSON: name, weight and hash of each
        settings         BLOB NOT NULL,      -- JSON
        seed             TEXT NOT NULL,      -- of the first take
        prompt           BLOB NOT NULL,
        prompt_ids       BLOB NOT NULL,      -- unsigned little-endian integers
        prompt_id_bytes  INTEGER NOT NULL,   -- 2, or 4 where the vocabulary is larger than 65,536
        prompt_truncated INTEGER NOT NULL,
        capped           INTEGER NOT NULL,   -- the prompt was longer than is kept
        first_token_ms   REAL,
        total_ms         REAL,
        redacted         INTEGER NOT NULL DEFAULT 0  -- words were struck out of it
    )
    """,
    """
    CREATE TABLE take (
        id           TEXT PRIMARY KEY,
        generation   TEXT NOT NULL REFERENCES generation (id) ON DELETE CASCADE,
        "index"      INTEGER NOT NULL,
        text         BLOB NOT NULL,
        ids          BLOB NOT NULL,
        id_bytes     INTEGER NOT NULL,
        capped       INTEGER NOT NULL,       -- the text was longer than is kept
        logprob_sum  REAL,
        logprob_mean REAL,
        finish       TEXT,                   -- length, stop, eos or cancelled; NULL while it streams
        shown        INTEGER NOT NULL,
        shown_ms     REAL NOT NULL
    )
    """,
    """
    CREATE TABLE event (
        sequence   INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of commits, which no clock can change
        id         TEXT NOT NULL UNIQUE,
        ts         REAL NOT NULL,
        monotonic  REAL NOT NULL,
        generation TEXT NOT NULL REFERENCES generation (id) ON DELETE CASCADE,
        take       TEXT REFERENCES take (id) ON DELETE CASCADE,
        kind       TEXT NOT NULL,
        start      INTEGER NOT NULL,
        "end"      INTEGER NOT NULL,
        elapsed_ms REAL,                               -- since the take was first shown
        payload    BLOB NOT NULL                       -- JSON
    )
    """,
    """
    CREATE TABLE survival (
        take      TEXT NOT NULL REFERENCES take (id) ON DELETE CASCADE,
        horizon   TEXT NOT NULL,             -- 15, 30, 120, 300, 600 (seconds), save or close
        ts        REAL NOT NULL,
        elapsed_s REAL NOT NULL,             -- since it was accepted
        length    INTEGER NOT NULL,          -- of the accepted text it was measured against, in characters
        kept      INTEGER NOT NULL,          -- characters
        overlap   REAL NOT NULL,
        distance  REAL NOT NULL,
        now       BLOB NOT NULL,
        capped    INTEGER NOT NULL,
        PRIMARY KEY (take, horizon)
    )
    """,
    """
    CREATE TABLE consent (
        scope   TEXT NOT NULL,               -- all, genre or document
        name    TEXT NOT NULL,               -- a hash of the genre's name or the document's path
        allowed INTEGER NOT NULL,
        ts      REAL NOT NULL,
        PRIMARY KEY (scope, name)
    )
    """,
    """
    CREATE TABLE dataset (
        id      TEXT PRIMARY KEY,
        ts      REAL NOT NULL,
        kind    TEXT NOT NULL,               -- sft, preference or unpaired
        query   BLOB NOT NULL,               -- JSON
        size    INTEGER NOT NULL,            -- rows
        hash    TEXT NOT NULL,               -- sha256 of the file
        path    BLOB,                        -- NULL: written to standard output
        removed REAL                         -- when a purge or a redaction removed it
    )
    """,
    """
    CREATE TABLE used_in (
        dataset TEXT NOT NULL REFERENCES dataset (id) ON DELETE CASCADE,
        event   TEXT NOT NULL REFERENCES event (id) ON DELETE CASCADE,
        PRIMARY KEY (dataset, event)
    )
    """,
    "CREATE TABLE tombstone (hash TEXT PRIMARY KEY, ts REAL NOT NULL)",
    "CREATE INDEX take_by_generation ON take (generation)",
    "CREATE INDEX event_by_generation ON event (generation)",
    "CREATE INDEX event_by_take ON event (take)",
    "CREATE INDEX used_in_by_event ON used_in (event)",
    "CREATE INDEX generation_by_document ON generation (document)",
)

_SHELF: Final[Migration] = (
    "ALTER TABLE take ADD COLUMN seed TEXT",
    """
    UPDATE take SET seed = (
        SELECT CAST(CAST(generation.seed AS INTEGER) + take."index" AS TEXT)
        FROM generation WHERE generation.id = take.generation
    )
    """,
    """
    CREATE TABLE anchor (
        take     TEXT PRIMARY KEY REFERENCES take (id) ON DELETE CASCADE,
        document BLOB NOT NULL,
        "offset" INTEGER NOT NULL,           -- characters from the start of the saved text
        digest   TEXT NOT NULL               -- of the text the offset was counted in
    )
    """,
    """
    CREATE TABLE provenance (
        document BLOB PRIMARY KEY,
        ts       REAL NOT NULL,
        digest   TEXT NOT NULL,              -- of the text the spans fit
        spans    BLOB NOT NULL               -- JSON
    )
    """,
    "CREATE INDEX anchor_by_document ON anchor (document)",
)

MIGRATIONS: Final[tuple[Migration, ...]] = (_FEEDBACK, _SHELF)
