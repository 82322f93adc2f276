"""What a writer's own work adds to a corpus: manuscripts the log knows, and spans they accepted and kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storyteller.config import load_settings
from storyteller.errors import CorpusError
from storyteller.feedback.consent import allowed_by_generation, refusals_in
from storyteller.feedback.datasets import enough, export, prepare
from storyteller.feedback.history import read_history
from storyteller.feedback.log import FeedbackLog

if TYPE_CHECKING:
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


def manuscripts(genre: Genre) -> tuple[Path, ...]:
    """The writer's files in which they wrote as `genre`, as far as they may be learned from and are still there.

    Raises:
        CorpusError: there is none.
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
    return tuple(sorted(found))


def _open_log() -> FeedbackLog:
    settings, _ = load_settings()
    return FeedbackLog(refusals=refusals_in(settings.consent, settings.refusals))
