"""Documents of a genre, one after another, from wherever a recipe says they are."""

from __future__ import annotations

import hashlib
import lzma
import sys
import sysconfig
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.errors import CorpusError
from storyteller.training.corpus.document import Skips
from storyteller.training.corpus.files import find_files
from storyteller.training.pretraining.cleaning import cleaned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storyteller.training.pretraining.recipe import Source

_LONGEST: Final = 64_000_000  # bytes of one file; no book is that long
_TEXTS: Final = (".txt", ".md", ".py")
_NOT_LEARNED: Final = frozenset(  # of the standard library: tests, tables, and what is installed beside it
    ("test", "tests", "idle_test", "site-packages", "encodings", "lib2to3", "idlelib", "turtledemo")
)
_OPENING: Final = 400  # characters that say which side a document is on


@dataclass(frozen=True)
class Document:
    """One text, cleaned.

    Attributes:
        mark: a number made of its opening: what it is held out by, wherever it is found.
    """

    text: str
    mark: int


class _Row(msgspec.Struct):
    text: str
    title: str = ""


def documents(source: Source, folder: Path) -> Iterator[Document]:
    """The cleaned documents of `source` under `folder`, in an order that is always the same; those left out are not there.

    Raises:
        CorpusError: it is missing or damaged.
    """
    for title, text in _raw(source, folder):
        whole, opening = cleaned(text, title, source.form)
        if whole:
            digest = hashlib.sha1(opening[:_OPENING].encode("utf-8", "replace"), usedforsecurity=False)
            yield Document(whole, int(digest.hexdigest(), 16))


def fingerprint(source: Source, folder: Path) -> str:
    """A hash of all that `documents` would read.

    Raises:
        CorpusError: it is missing.
    """
    digest = hashlib.sha256()
    for path in _files(source, folder):
        with _reading(path), path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _raw(source: Source, folder: Path) -> Iterator[tuple[str, str]]:
    """Titles and texts as they are found."""
    if source.kind == "archive":
        yield from _archive(folder / source.path, source.inside)
    elif source.kind == "rows":
        yield from _rows(folder / source.path)
    else:
        for path in _files(source, folder):
            with _reading(path):
                text = path.read_text(encoding="utf-8", errors="replace")
            yield "", text


def _files(source: Source, folder: Path) -> list[Path]:
    """What `source` is made of: the one file, or a folder's texts."""
    path = folder / source.path
    if source.kind == "library":
        return _library()
    if not path.exists():
        raise CorpusError(
            f"{path}, which the recipe names for {source.genre}, is not there. Name the folder with --data, or change "
            "the recipe: a source of kind 'folder' takes any texts."
        )
    if source.kind != "folder":
        return [path]
    found = [file.path for file in find_files([path], Skips()) if file.kind in _TEXTS]
    if not found:
        raise CorpusError(f"{path} holds no texts ({', '.join(_TEXTS)}) for {source.genre}.")
    return [file for file in found if file.stat().st_size <= _LONGEST]


def _library() -> list[Path]:
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [path for path in root.rglob("*.py") if not _NOT_LEARNED & set(path.relative_to(root).parts[:-1])]
    if not files:
        raise CorpusError(f"The standard library of {sys.executable} has no source files in {root}.")
    return sorted(files)


def _archive(path: Path, inside: str) -> Iterator[tuple[str, str]]:
    with _reading(path), tarfile.open(path) as archive:
        for member in archive:
            wanted = member.isfile() and member.name.endswith(".txt") and inside in member.name
            stream = archive.extractfile(member) if wanted and member.size <= _LONGEST else None
            if stream is not None:
                yield "", stream.read().decode("utf-8", "replace")


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    opener = lzma.open if path.suffix == ".xz" else open
    with _reading(path), opener(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line, type=_Row)
            except ValueError as error:  # msgspec's errors, and bytes that are no UTF-8
                raise CorpusError(
                    f"{path}, line {number}: {error}. Each is an object with `text`."
                ) from error
            yield row.title, row.text


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever a damaged file raises, as one error that names it."""
    try:
        yield
    except (EOFError, lzma.LZMAError, tarfile.TarError) as error:
        raise CorpusError(f"{path} is damaged: {error}. Fetch it again.") from error
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror or error}.") from error
