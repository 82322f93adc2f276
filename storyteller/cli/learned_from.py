"""What a writer's own work adds to a corpus: manuscripts the log knows, and spans they accepted and kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from storyteller.config import load_settings
from storyteller.errors import CorpusError, DocumentError
from storyteller.feedback.consent import allowed_by_generation, refusals_in
from storyteller.feedback.datasets import enough, export, is_removed, prepare
from storyteller.feedback.history import read_history
from storyteller.feedback.keeping import restore_provenance
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import document_name
from storyteller.manuscript.load import load
from storyteller.manuscript.own_words import own_words
from storyteller.manuscript.provenance import Provenance
from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from storyteller.feedback.export import DataSet
    from storyteller.genres import Genre


def kept_spans(genre: Genre, *, record: bool) -> DataSet:
    """What was accepted as this genre and still stands.

    Args:
        genre: what it was written as.
        record: put it down as a data set, so that a purge finds what was made of it; else nothing is written.

    Raises:
        TooLittleFeedback: there is not enough yet.
        LibraryError: the log cannot be read.
    """
    if not record:
        return enough(prepare(_open_log(), "sft", genre=genre.name))
    dataset, _ = export(_open_log(), "sft", genre=genre.name)
    return dataset


def withdrawal(kept: DataSet | None) -> Callable[[], bool]:
    """Tells, whenever it is asked, whether `kept` was purged since; raises LibraryError where that cannot be known."""
    return lambda: kept is not None and is_removed(_open_log(), (kept.hash,))


class Manuscripts(msgspec.Struct, frozen=True, kw_only=True):
    """A writer's own files, to be learned from.

    Attributes:
        paths: where they are.
        own: by resolved path, what to read in place of a file of which it is known who wrote what: the writer's words.
        left_out: characters that the model wrote, and of the sentences it wrote in.
    """

    paths: tuple[Path, ...] = ()
    own: dict[str, str] = {}
    left_out: int = 0

    def remarks(self, unread: Collection[str] = ()) -> tuple[str, ...]:
        """What is to be said before they are learned; `unread` are the names of files that turned out to be no text."""
        remarks = []
        if self.left_out:
            remarks.append(
                f"{self.left_out:,} characters of your manuscripts are left out: sentences that the model wrote in."
            )
        whole = sum(
            os.path.realpath(path) not in self.own and display_line(path.name) not in unread
            for path in self.paths
        )
        if whole:
            count = "One manuscript is" if whole == 1 else f"{whole:,} manuscripts are"
            remarks.append(
                f"{count} learned whole, the model's words among it: it is not known which are yours."
            )
        return tuple(remarks)


def manuscripts(genre: Genre) -> Manuscripts:
    """The writer's files in which they wrote as `genre`, as far as they may be learned from and are still there.

    Raises:
        CorpusError: there is none.
        LibraryError: the log cannot be read.
    """
    log = _open_log()
    found: set[Path] = set()
    with log.reading() as connection:
        if connection is not None:
            for generation in read_history(connection, genre=genre.name):
                path = Path(generation.record.document)
                if (
                    path.is_absolute()
                    and path.is_file()
                    and allowed_by_generation(connection, generation.record.id, log.refusals)
                ):
                    found.add(path)
    if not found:
        raise CorpusError(
            f"No manuscript of {genre.name} is known. Name files with --data instead of --include-manuscripts."
        )
    own: dict[str, str] = {}
    left_out = 0
    for path in sorted(found):
        words = _own_words(log, path)
        if words is not None:
            own[os.path.realpath(path)], missing = words
            left_out += missing
    return Manuscripts(paths=tuple(sorted(found)), own=own, left_out=left_out)


def _own_words(log: FeedbackLog, path: Path) -> tuple[str, int] | None:
    """What the writer wrote of a file and how much of it the model did; None where nobody knows who wrote what."""
    try:
        text = load(path).text
        spans = restore_provenance(log, document_name(path), text)
        provenance = None if spans is None else Provenance.from_json(spans, len(text))
    except (DocumentError, ValueError):  # the corpus says what is amiss with a file; spans of another version
        return None
    if provenance is None:
        return None
    words = own_words(text, provenance)
    return words, _visible(text) - _visible(words)


def _visible(text: str) -> int:
    return sum(map(len, text.split()))


def _open_log() -> FeedbackLog:
    settings, _ = load_settings()
    return FeedbackLog(refusals=refusals_in(settings.consent, settings.refusals))
