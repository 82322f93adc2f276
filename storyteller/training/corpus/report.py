"""What a corpus amounts to, in figures and warnings."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.training.corpus.document import Skipped  # noqa: TC001 - msgspec reads the annotations
from storyteller.training.corpus.duplicates import words
from storyteller.training.corpus.language import guess_language

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storyteller.training.corpus.document import Document, Skips

LITTLE: Final = 1_000_000  # bytes
_ASCII_BYTES: Final = 4.0  # a token of GPT-2's, in English
_OTHER_BYTES: Final = 1.2  # a token: GPT-2 cuts Chinese to bytes and joins few (1.0 to 1.3 on Tang poems)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A corpus in figures.

    Attributes:
        files: files that gave at least one document.
        documents: pieces after cleaning, without duplicates.
        bytes: their size in UTF-8.
        characters: their length.
        words: words, and single characters of scripts without spaces.
        tokens: GPT-2 tokens; an estimate unless `tokens_counted`.
        tokens_counted: a tokeniser counted them.
        shortest: characters of the shortest document.
        median: characters of the middle one.
        longest: characters of the longest.
        longest_line: characters of the longest line of any.
        language: a guess, or "unknown".
        exact_duplicates: pieces left out because one before says the same.
        near_duplicates: pieces left out because one before says nearly the same.
        blank: pieces with nothing in them after cleaning.
        damaged: documents in which U+FFFD stands for a lost character.
        skipped: files and rows left out, the first few hundred, each with its reason.
        skipped_more: how many more were.
        warnings: sentences about what will hurt the training.
    """

    files: int
    documents: int
    bytes: int
    characters: int
    words: int
    tokens: int
    tokens_counted: bool
    shortest: int
    median: int
    longest: int
    longest_line: int
    language: str
    exact_duplicates: int
    near_duplicates: int
    blank: int
    damaged: int
    skipped: tuple[Skipped, ...]
    skipped_more: int
    warnings: tuple[str, ...]


def estimate_tokens(text: str) -> float:
    """About how many tokens GPT-2 makes of `text`."""
    plain = len(text.encode("ascii", "ignore"))
    return plain / _ASCII_BYTES + (len(text.encode("utf-8")) - plain) / _OTHER_BYTES


def make_report(
    documents: Sequence[Document],
    *,
    files: int,
    exact: int,
    near: int,
    blank: int,
    skips: Skips,
    count: Callable[[str], int] | None = None,
) -> Report:
    """The report on `documents`, of which there is at least one.

    Args:
        documents: the corpus.
        files: how many files they come from.
        exact: exact duplicates that were left out.
        near: near duplicates that were left out.
        blank: empty pieces that were left out.
        skips: what could not be read.
        count: a tokeniser's count of a text's tokens; without it they are estimated.
    """
    texts = [document.text for document in documents]
    lengths = sorted(map(len, texts))
    size = sum(len(text.encode("utf-8")) for text in texts)
    damaged = sum("\ufffd" in text for text in texts)
    return Report(
        files=files,
        documents=len(texts),
        bytes=size,
        characters=sum(lengths),
        words=sum(len(words(text)) for text in texts),
        tokens=sum(map(count, texts)) if count else round(sum(map(estimate_tokens, texts))),
        tokens_counted=count is not None,
        shortest=lengths[0],
        median=round(statistics.median(lengths)),
        longest=lengths[-1],
        longest_line=max(len(line) for text in texts for line in text.split("\n")),
        language=guess_language(texts),
        exact_duplicates=exact,
        near_duplicates=near,
        blank=blank,
        damaged=damaged,
        skipped=skips.all(),
        skipped_more=skips.unnamed,
        warnings=_warnings(len(texts), size, damaged),
    )


def _warnings(documents: int, size: int, damaged: int) -> tuple[str, ...]:
    warnings = []
    if size < LITTLE:
        warnings.append(
            f"{size / 1000:,.0f} kB is little text: under about {LITTLE // 1_000_000} MB a model learns the texts "
            "by heart instead of their manner. Add more."
        )
    if documents == 1:
        warnings.append("One document leaves none to hold out: add more, or cut it into pieces.")
    if damaged:
        warnings.append(
            f"{damaged:,} documents have \ufffd where a character was lost before they came here; it will be learned."
        )
    return tuple(warnings)
