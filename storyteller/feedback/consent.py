"""Whether the writer agreed that what they do with a take is kept: for all writing, a genre, or one document.

Undecided is no. One no among the scopes that apply is a no, whatever the others say. A no that is given
before there is a library must not make one: it is a `refusal`, a short string the settings remember.
"""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from storyteller.feedback.rows import pack_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection


class Scope(msgspec.Struct, frozen=True):
    """What an answer is about: everything, one genre by its name, or one document by its path."""

    kind: Literal["all", "genre", "document"]
    name: str = ""

    @property
    def hashed_name(self) -> str:
        """What is stored of the name: enough to know it again, not enough to read it."""
        return "" if self.kind == "all" else blake2b(pack_text(self.name), digest_size=16).hexdigest()

    @property
    def refusal(self) -> str:
        """How the settings remember a no: `all`, `genre:HASH` or `document:HASH`; plain ASCII."""
        return self.kind if self.kind == "all" else f"{self.kind}:{self.hashed_name}"


EVERYTHING: Final = Scope("all")


def scopes_of(document: str, genre: str) -> tuple[Scope, Scope, Scope]:
    """The scopes that apply to writing in `document` as `genre`."""
    return EVERYTHING, Scope("genre", genre), Scope("document", document)


def answer(connection: sqlite3.Connection, scope: Scope) -> bool | None:
    """The recorded answer for exactly this scope; None: not asked yet."""
    row = connection.execute(
        "SELECT allowed FROM consent WHERE scope = ? AND name = ?", (scope.kind, scope.hashed_name)
    ).fetchone()
    return None if row is None else bool(row["allowed"])


def allowed(
    connection: sqlite3.Connection, document: str, genre: str, refusals: Collection[str] = ()
) -> bool:
    """Whether anything about `document` and `genre` may be written now."""
    scopes = scopes_of(document, genre)
    if any(scope.refusal in refusals for scope in scopes):
        return False
    answers = [answer(connection, scope) for scope in scopes]
    return False not in answers and True in answers


def record_answer(connection: sqlite3.Connection, scope: Scope, *, on: bool) -> None:
    """Put down an answer in place of an earlier one. Called inside a transaction."""
    connection.execute(
        "INSERT INTO consent (scope, name, allowed, ts) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (scope, name) DO UPDATE SET allowed = excluded.allowed, ts = excluded.ts",
        (scope.kind, scope.hashed_name, on, time.time()),
    )
