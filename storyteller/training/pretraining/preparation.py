"""Texts to tokens: read twice, once for the tokenizer and once to be encoded, so that no corpus stands in memory."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.atomic import is_orphan_name
from storyteller.disk import sync_directory
from storyteller.errors import CorpusError
from storyteller.training.adapters.publish import folder_to_be, write_synced
from storyteller.training.pretraining.events import Preparing
from storyteller.training.pretraining.shards import (
    MANIFEST,
    TOKENIZER,
    Genre,
    Manifest,
    ShardWriter,
    files_in,
    held_out_texts,
    open_prepared,
)
from storyteller.training.pretraining.sources import documents, fingerprint
from storyteller.training.pretraining.tokenizer import tokenizer_of, train_tokenizer, write_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tokenizers import Tokenizer

    from storyteller.engine.network.model_config import ModelConfig
    from storyteller.training.pretraining.recipe import Recipe, Source
    from storyteller.training.pretraining.shards import Prepared
    from storyteller.training.pretraining.sources import Document

_FORMAT: Final = 2  # of the tokens: a change of cleaning or of the files makes them anew
_HELD_OUT_SIDE: Final = 3  # of the marks' remainders
_HELD_OUT_CHARACTERS: Final = 200_000  # of a document measured on
_HELD_OUT_TOKENS: Final = 400_000  # of a genre
_AT_ONCE: Final = 4_000_000  # characters that the tokenizer's threads share
_SAMPLED: Final = 20_000  # characters of a document the tokenizer sees: it is to know many, not one by heart


@dataclass(frozen=True)
class Texts:
    """What is to be prepared.

    Attributes:
        folder: of the recipe's sources.
        start: a model whose tokenizer is used, with its configuration; None: one is trained.
    """

    recipe: Recipe
    folder: Path
    start: tuple[Path, ModelConfig] | None = None

    def key(self) -> str:
        """A hash of all that the tokens depend on.

        Raises:
            CorpusError: a source is missing.
            ModelError: the start has no tokenizer of use.
        """
        recipe = self.recipe
        told: list[object] = [_FORMAT, recipe.data.megabytes, recipe.data.held_out, recipe.sources]
        if self.start is None:
            told.append(recipe.tokenizer)
        else:
            tokenizer, end = tokenizer_of(*self.start)
            told.append([hashlib.sha256(tokenizer.to_str().encode()).hexdigest(), end])
        told += [fingerprint(source, self.folder) for source in recipe.sources]
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()

    def documents(self, source: Source) -> Iterator[tuple[Document, bool]]:
        """The first documents of `source` up to its share of the megabytes, each with whether it is held out."""
        left = self.recipe.data.megabytes * 1e6 * source.share
        for document in documents(source, self.folder):
            if left <= 0:
                return
            held = document.mark % self.recipe.data.held_out == _HELD_OUT_SIDE % self.recipe.data.held_out
            if not held:
                left -= len(document.text.encode("utf-8", "replace"))
            yield document, held


def prepare(texts: Texts, folder: Path, key: str, tell: Callable[[Preparing], None]) -> Prepared:
    """The tokens of `texts` in `folder`: those that are there where their key is the same, else made and put in their place.

    Raises:
        CorpusError: sources are missing, damaged, or hold too little.
        OSError: the disk failed; what was there is as it was.
    """
    found = open_prepared(folder, key)
    if found is not None:
        return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.iterdir():
        if is_orphan_name(left.name) and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)  # of a preparation that was killed
    with folder_to_be(folder) as temporary:
        tokenizer, end = tokenizer_of(*texts.start) if texts.start else (_trained(texts, tell), 0)
        (temporary / TOKENIZER).mkdir()
        context = texts.recipe.model.context
        write_tokenizer(tokenizer, temporary / TOKENIZER, str(tokenizer.id_to_token(end)), context)
        tokenizer.encode_special_tokens = True  # a text that spells one means its letters
        genres = tuple(
            _Encoding(texts, source, tokenizer, end).into(temporary, tell) for source in texts.recipe.sources
        )
        _check(genres)
        manifest = Manifest(
            key=key,
            vocabulary=tokenizer.get_vocab_size(),
            end=end,
            genres=genres,
            files=files_in(temporary),
        )
        write_synced(temporary / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        sync_directory(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    sync_directory(folder.parent)
    made = open_prepared(folder, key)
    if made is None:
        raise OSError(f"{folder} does not hold what was just written there")
    return made


def _trained(texts: Texts, tell: Callable[[Preparing], None]) -> Tokenizer:
    tell(Preparing(genre="", documents=0, megabytes=0.0, doing="tokenizer"))
    return train_tokenizer(_sample(texts), texts.recipe.tokenizer.vocabulary)


def _sample(texts: Texts) -> Iterator[str]:
    """Beginnings of documents that are learned from: all genres, by their shares of what the tokenizer may see."""
    sources = texts.recipe.sources
    whole = sum(source.share for source in sources) or 1.0
    for source in sources:
        left = texts.recipe.tokenizer.megabytes * 1e6 * source.share / whole
        for document, held in texts.documents(source):
            if left <= 0:
                break
            if not held:
                piece = document.text[:_SAMPLED]
                left -= len(piece)
                yield piece


class _Encoding:
    """One genre on its way to its files."""

    def __init__(self, texts: Texts, source: Source, tokenizer: Tokenizer, end: int) -> None:
        self._texts, self._source, self._tokenizer, self._end = texts, source, tokenizer, end
        self._bytes = {True: 0, False: 0}
        self._documents = {True: 0, False: 0}
        self._held_out: list[str] = []

    def into(self, folder: Path, tell: Callable[[Preparing], None]) -> Genre:
        """Write the genre's files into `folder`."""
        genre = self._source.genre
        learned, held_out = ShardWriter(folder, f"train-{genre}"), ShardWriter(folder, f"held-{genre}")
        for batch in self._batches():
            ids = self._tokenizer.encode_batch_fast([text for text, _ in batch], add_special_tokens=False)
            for (text, held), encoding in zip(batch, ids, strict=True):
                if held:
                    self._measure(held_out, encoding.ids)
                else:
                    learned.add((*encoding.ids, self._end))
                    self._count(len(text.encode()), held=False)
            done = self._bytes[False] / 1e6
            tell(Preparing(genre=genre, documents=self._documents[False], megabytes=done, doing="tokens"))
        learned.close()
        held_out.close()
        write_synced(folder / held_out_texts(genre), msgspec.json.Encoder().encode_lines(self._held_out))
        return Genre(
            genre=genre,
            documents=self._documents[False],
            tokens=learned.tokens,
            bytes=self._bytes[False],
            held_out_documents=self._documents[True],
            held_out_tokens=held_out.tokens,
            held_out_bytes=self._bytes[True],
            repeats=self._source.repeats,
            shards=tuple(learned.names),
            held_out=next(iter(held_out.names), ""),
        )

    def _batches(self) -> Iterator[list[tuple[str, bool]]]:
        """Documents and whether they are held out, some megabytes at a time."""
        batch: list[tuple[str, bool]] = []
        size = 0
        for document, held in self._texts.documents(self._source):
            text = document.text.encode(
                "utf-8", "replace"
            ).decode()  # no lone surrogates, which no bytes stand for
            batch.append((text[:_HELD_OUT_CHARACTERS] if held else text, held))
            size += len(text)
            if size >= _AT_ONCE:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _measure(self, writer: ShardWriter, ids: list[int]) -> None:
        """Hold out a document, or the beginning of one that finds little room left; what finds none is in no file."""
        room = _HELD_OUT_TOKENS - writer.tokens
        if room <= 0:
            return
        kept = list(islice((*ids, self._end), room))
        writer.add(kept)
        self._held_out.append(self._tokenizer.decode(kept))  # which leaves its end out
        self._count(len(self._held_out[-1].encode()), held=True)

    def _count(self, size: int, *, held: bool) -> None:
        self._bytes[held] += size
        self._documents[held] += 1


def _check(genres: tuple[Genre, ...]) -> None:
    """Raises CorpusError where there is nothing to learn from, or nothing to measure on."""
    empty = [genre.genre for genre in genres if not genre.tokens]
    if empty:
        raise CorpusError(
            f"No document was found for {', '.join(empty)}. Look at the recipe's path, inside and form."
        )
    if not any(genre.held_out_tokens > 1 for genre in genres):
        raise CorpusError("No document is held out to measure on. Add documents, or lower data.held_out.")
