"""What a corpus is made of, and why something did not get into it."""

from __future__ import annotations

from typing import Final

import msgspec


class Document(msgspec.Struct, frozen=True):
    """A whole piece: a poem, a story, a book, a source file.

    Attributes:
        text: the piece, without its title where that could be told apart.
        source: where it came from, as messages show it: `poems.jsonl:17`, `tales/snow.txt`. Safe to display.
        title: its title, one line; may be empty.
    """

    text: str
    source: str
    title: str = ""

    @property
    def page(self) -> str:
        """The piece as it stands on a page, and is learned: its title above it, where it has one."""
        if not self.title or self.text.startswith(self.title):
            return self.text
        return f"{self.title}\n\n{self.text}"


class Skipped(msgspec.Struct, frozen=True):
    """A file that was left out, or rows of a file that were left out for one reason.

    Attributes:
        source: the file, or `FILE:LINE` for the first of the rows. Safe to display.
        reason: a clause that follows the name: `is empty`.
        rows: how many rows of the file; 0 where it is the file itself.
    """

    source: str
    reason: str
    rows: int = 0


class Unreadable(Exception):  # noqa: N818 - it says what the file is; load.py makes it a line of the report
    """A file that cannot be learned from; its text is the reason, a clause that follows the file's name."""


_NAMED: Final = 200  # files of which the report gives the name and reason


class Skips:
    """What was left out while a corpus was read."""

    def __init__(self) -> None:
        self._files: list[Skipped] = []
        self._rows: dict[tuple[str, str], tuple[int, int]] = {}
        self.unnamed = 0

    def file(self, source: str, reason: str) -> None:
        """Note a file; past the first few hundred only their number."""
        if len(self._files) < _NAMED:
            self._files.append(Skipped(source, reason))
        else:
            self.unnamed += 1

    def row(self, source: str, line: int, reason: str) -> None:
        """Note a row of a file, counted with the others of that file and reason."""
        key = source, reason
        if key not in self._rows and len(self._rows) >= _NAMED:
            self.unnamed += 1
            return
        first, count = self._rows.get(key, (line, 0))
        self._rows[key] = first, count + 1

    def all(self) -> tuple[Skipped, ...]:
        """Files first, then rows, each in the order they were met."""
        rows = (
            Skipped(f"{source}:{first}", reason, count)
            for (source, reason), (first, count) in self._rows.items()
        )
        return (*self._files, *rows)

    def take(self, other: Skips) -> None:
        """Add what `other` noted about rows of files not noted here."""
        for key, value in other._rows.items():
            if len(self._rows) < _NAMED:
                self._rows[key] = value
            else:
                self.unnamed += 1
        self.unnamed += other.unnamed
