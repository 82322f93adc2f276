"""The texts that `storyteller eval` reads: files, and folders of them."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from storyteller.cli.source import read_text
from storyteller.cli.streams import notice
from storyteller.disk import is_folder, is_missing
from storyteller.errors import UserError
from storyteller.evaluation.texts import documents
from storyteller.genres import find_genre
from storyteller.training.corpus.load import load_corpus
from storyteller.training.corpus.shelf import sources
from storyteller.training.pretraining.shards import learned_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_KINDS: Final = frozenset({".txt", ".md", ".jsonl", ".json", ".py"})
_TABLES: Final = frozenset({".csv", ".tsv", ".parquet"})  # read by the rules of a genre only


def read_named(source: str) -> str:
    """The text of the file `source`, or of standard input for `-`.

    Raises:
        UserError: there is no such file.
        DocumentError: it cannot be read.
    """
    if source != "-" and is_missing(Path(source)):
        raise UserError(f"There is no file {source}. Check the name.")
    return read_text(source)


def read_documents(source: str) -> list[str]:
    """The documents of the file `source`, or of standard input for `-`, which is one.

    Raises:
        DocumentError, UserError: it cannot be read.
    """
    return documents(read_named(source), source)


def known_texts(paths: Sequence[Path], genre: str | None) -> Iterable[tuple[str, str]]:
    """A name and a text for each document of `paths`, and of what `genre` is learned from.

    Raises:
        CorpusError, SettingsError: there is no such genre, or it has no texts.
        UserError: neither was named, or a path is not there. What is in `paths` is read later, and may raise then.
    """
    if not paths and genre is None:
        raise UserError("There is no text to compare with. Name one by --corpus PATH or --genre NAME.")
    check_corpus(paths)
    return chain(read_corpus(paths), () if genre is None else _learned(genre))


def _learned(genre: str) -> list[tuple[str, str]]:
    kind = find_genre(genre)
    return [(document.source, document.page) for document in load_corpus(kind, sources(kind)).documents]


def read_corpus(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """A name and a text for each document of `paths`, in order; of a folder, of all the files a corpus may have.

    A folder of tokens that `storyteller pretrain` made is what that run learned from.

    Raises:
        DocumentError, UserError: one cannot be read.
    """
    for path in paths:
        learned = learned_texts(path)
        if learned is not None:
            yield from learned
            continue
        for file in _files(path):
            found = read_documents(str(file))
            for number, text in enumerate(found, 1):
                yield (f"{file}:{number}" if len(found) > 1 else str(file)), text


def check_corpus(paths: Sequence[Path]) -> None:
    """See that there is something to read before hours are spent.

    Raises:
        UserError: a path is not there, a folder has no such files, or it is a table; one in a folder is told and left out.
    """
    for path in paths:
        if is_missing(path):
            raise UserError(f"There is no file or folder {path}. Check the name.")
        for table in _named(path, _TABLES):
            how = f"Tables are read as a genre's texts: `storyteller corpus add GENRE {table}`, then --genre GENRE."
            if table == path:
                raise UserError(f"{table} is a table. {how}")
            notice(f"{table} is left out. {how}")
        if not _files(path):
            raise UserError(f"There is no text in {path}: files of {', '.join(sorted(_KINDS))} are read.")


def _files(path: Path) -> list[Path]:
    return _named(path, _KINDS) if is_folder(path) else [path]


def _named(path: Path, kinds: frozenset[str]) -> list[Path]:
    """The files at and below `path` whose names end so."""
    files = path.rglob("*") if is_folder(path) else [path]
    return sorted(file for file in files if file.suffix.lower() in kinds and not is_folder(file))
