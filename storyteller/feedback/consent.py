"""Whether the writer agreed that what they do with a take is kept: for all writing, a genre, or one document.

Undecided is no. One no among the scopes that apply is a no, whatever the others say. A no that is given
before there is a library must not make one: it is a `refusal`, a short string the settings remember.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal, Self

import msgspec

from storyteller.feedback.rows import name_hash, unpack_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection


class Scope(msgspec.Struct, frozen=True):
    """What an answer is about. Of a name only a hash is kept: enough to know it again, not enough to read it."""

    kind: Literal["all", "genre", "document"]
    name: str = ""

    @classmethod
    def of_document(cls, path: str) -> Self:
        """One document, by the name its generations have."""
        return cls("document", name_hash(path))

    @classmethod
    def of_genre(cls, genre: str) -> Self:
        """One genre, by its name."""
        return cls("genre", name_hash(genre))

    @property
    def refusal(self) -> str:
        """How the settings remember a no: `all`, `genre:HASH` or `document:HASH`."""
        return f"{self.kind}:{self.name}" if self.name else self.kind


EVERYTHING: Final = Scope("all")


def scopes_of(document: str, genre: str) -> tuple[Scope, Scope, Scope]:
    """The scopes that apply to writing in `document` as `genre`."""
    return EVERYTHING, Scope.of_genre(genre), Scope.of_document(document)


def refusals_in(answer: Literal["ask", "yes", "no"], refusals: Collection[str]) -> frozenset[str]:
    """The refusals the settings `consent` and `refusals` hold between them, as a `FeedbackLog` takes them."""
    return frozenset(refusals) | ({EVERYTHING.refusal} if answer == "no" else frozenset())


def answer(connection: sqlite3.Connection, scope: Scope) -> bool | None:
    """The recorded answer for exactly this scope; None: not asked yet."""
    row = connection.execute(
        "SELECT allowed FROM consent WHERE scope = ? AND name = ?", (scope.kind, scope.name)
    ).fetchone()
    return None if row is None else bool(row["allowed"])


def allowed(
    connection: sqlite3.Connection, scopes: Collection[Scope], refusals: Collection[str] = ()
) -> bool:
    """Whether anything to which these scopes apply may be written now."""
    if any(scope.refusal in refusals for scope in scopes):
        return False
    answers = [answer(connection, scope) for scope in scopes]
    return False not in answers and True in answers


def allowed_by_generation(
    connection: sqlite3.Connection, generation: str, refusals: Collection[str] = ()
) -> bool:
    """Whether anything about a generation in the library may be written now. False: it is not there."""
    row = connection.execute(
        "SELECT document_hash, genre FROM generation WHERE id = ?", (generation,)
    ).fetchone()
    if row is None:
        return False
    scopes = EVERYTHING, Scope.of_genre(unpack_text(row["genre"])), Scope("document", row["document_hash"])
    return allowed(connection, scopes, refusals)


def record_answer(connection: sqlite3.Connection, scope: Scope, *, on: bool) -> None:
    """Put down an answer in place of an earlier one. Called inside a transaction."""
    connection.execute(
        "INSERT INTO consent (scope, name, allowed, ts) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (scope, name) DO UPDATE SET allowed = excluded.allowed, ts = excluded.ts",
        (scope.kind, scope.name, on, time.time()),
    )
