"""A genre's corpus: its texts found, read, cleaned, without duplicates, and reported on."""

from __future__ import annotations

import hashlib
import os
from io import BytesIO
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from storyteller.errors import CorpusError
from storyteller.text import display_line
from storyteller.training.corpus.clean import clean, split_documents
from storyteller.training.corpus.document import Document, Skips, Unreadable
from storyteller.training.corpus.duplicates import without_duplicates
from storyteller.training.corpus.files import find_files
from storyteller.training.corpus.pieces import read_markdown, read_plain, read_source
from storyteller.training.corpus.reading import opened
from storyteller.training.corpus.report import Report, make_report
from storyteller.training.corpus.rows import read_json, read_json_lines, read_parquet, read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from storyteller.genres import Genre
    from storyteller.training.corpus.files import Found

LIMIT: Final = 1_000_000_000  # characters of a corpus; all of it is held in memory
_TITLE_LIMIT: Final = 200  # characters
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Corpus(msgspec.Struct, frozen=True):
    """Documents ready to be learned, what is to be known about them, and what makes them these and no others.

    Attributes:
        documents: cleaned, in an order that depends on the paths and files alone.
        report: the figures.
        hash: SHA-256 over the texts in order, in hexadecimal; the same on every machine.
    """

    documents: tuple[Document, ...]
    report: Report
    hash: str


def load_corpus(
    genre: Genre,
    paths: Sequence[Path],
    *,
    texts: Collection[Path] = (),
    instead: Mapping[str, str] = _NOTHING,
    count: Callable[[str], int] | None = None,
) -> Corpus:
    """Everything to learn at and below `paths`, by the rules of `genre`.

    Args:
        genre: says whether line breaks and indentation are kept.
        paths: files and folders.
        texts: those of `paths` that are known to be plain text, whatever their ending.
        instead: by resolved path, texts that are read in place of what files hold.
        count: a tokeniser's count of a text's tokens, for the report; without it they are estimated.

    Raises:
        CorpusError: no path was given, one cannot be read, there is too much, or nothing usable is left.
    """
    if not paths:
        raise CorpusError(
            f"There are no texts for {genre.name}. Name some: storyteller corpus add {genre.name} FOLDER"
        )
    skips = Skips()
    blank = 0
    files = 0
    cleaned: list[Document] = []
    room = LIMIT
    for found in find_files(paths, skips, texts):
        before = len(cleaned)
        for document in _read(found, skips, room, instead):
            room -= len(document.text)
            text = clean(document.text, genre)
            if text:
                cleaned.append(Document(text, document.source, _title(document.title)))
            else:
                blank += 1
        files += len(cleaned) > before
    documents, exact, near = without_duplicates(cleaned)
    if not documents:
        raise CorpusError(_nothing(paths, skips, blank))
    report = make_report(
        documents, files=files, exact=exact, near=near, blank=blank, skips=skips, count=count
    )
    return Corpus(tuple(documents), report, _hash(documents))


def _read(found: Found, skips: Skips, room: int, instead: Mapping[str, str]) -> list[Document]:
    """A file's documents, all or none: a file that turns out unusable half-way is left out whole."""
    documents: list[Document] = []
    own = Skips()
    try:
        text = instead.get(os.path.realpath(found.path))
        with opened(found.path) if text is None else BytesIO(text.encode("utf-8", "replace")) as file:
            for document in _documents(file, found, own):
                for text in split_documents(document.text) or [""]:
                    room -= len(text)
                    if room < 0:
                        raise CorpusError(
                            f"The texts are over {LIMIT // 1_000_000:,} MB; {found.name} is where it became too much. "
                            "Name fewer."
                        )
                    documents.append(msgspec.structs.replace(document, text=text))
    except Unreadable as reason:
        skips.file(found.name, str(reason))
        return []
    except OSError as error:
        skips.file(found.name, f"cannot be read ({error.strerror or error})")
        return []
    skips.take(own)
    return documents


def _documents(file: BinaryIO, found: Found, skips: Skips) -> Iterator[Document]:
    """The documents of an open file of a known kind; rows that are no text are noted."""
    for document in _by_kind(file, found, skips):
        fault = _fault(document.text)
        if fault:
            source, _, line = document.source.rpartition(":")
            skips.row(source, int(line), fault)
        else:
            yield document


def _by_kind(file: BinaryIO, found: Found, skips: Skips) -> Iterator[Document]:
    match found.kind:
        case ".txt":
            return read_plain(file, found.name)
        case ".md":
            return read_markdown(file, found.name)
        case ".py":
            return read_source(file, found.name)
        case ".jsonl":
            return read_json_lines(file, found.name, skips)
        case ".json":
            return read_json(file, found.name, skips)
        case ".parquet":
            return read_parquet(file, found.name, skips)
        case kind:
            return read_table(file, found.name, skips, tabs=kind == ".tsv")


def _fault(text: str) -> str:
    """Why a row's text cannot be learned; empty where it can. Whole files were checked when they were read."""
    if "\0" in text:
        return "holds NUL characters"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "is not UTF-8 text"
    return ""


def _title(title: str) -> str:
    return display_line(" ".join(title.split()))[:_TITLE_LIMIT]


def _nothing(paths: Sequence[Path], skips: Skips, blank: int) -> str:
    """What to say about paths that gave no document: the first reasons, and what would do."""
    where = ", ".join(display_line(str(path)) for path in paths[:3]) + (" …" if len(paths) > 3 else "")
    reasons = [f"{skipped.source} {skipped.reason}" for skipped in skips.all()[:3]]
    if blank:
        reasons.append(f"blank texts: {blank:,}")
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return f"There is no text to learn in {where}{because}. Name files or folders of .txt, .md, .py, .jsonl or .csv."


def _hash(documents: Sequence[Document]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        data = document.text.encode("utf-8")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()
