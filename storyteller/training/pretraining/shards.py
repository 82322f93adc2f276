"""Token ids on the disk, two bytes each, in files of some megabytes; read by mapping them, never as a whole."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import msgspec
import torch
from tokenizers import Tokenizer

from storyteller.training.adapters.publish import write_synced
from storyteller.training.checkpoint import size_and_hash
from storyteller.training.pretraining.events import GenreTokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

MANIFEST: Final = "manifest.json"
TOKENIZER: Final = "tokenizer"
_DECODED_AT_ONCE: Final = 64  # documents, by the tokenizer's threads
SHARD_TOKENS: Final = 16 << 20  # 32 MiB a file: it passes wherever files of 64 MiB do


class Genre(GenreTokens, frozen=True, kw_only=True):
    """What was made of a genre's texts.

    Attributes:
        held_out_bytes: measured on.
        repeats: how often an epoch reads it.
        shards: names of its files, in order; `held_out` is the file of what is measured on.
    """

    held_out_bytes: int
    repeats: int
    shards: tuple[str, ...]
    held_out: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared folder in words; it is written last, so that a folder that has one is whole.

    Attributes:
        key: a hash of all that the tokens were made of.
        end: the id that ends a document.
        files: size and sha256 of every file.
    """

    key: str
    vocabulary: int
    end: int
    genres: tuple[Genre, ...]
    files: dict[str, tuple[int, str]]


@dataclass(frozen=True)
class HeldOut:
    """A genre's tokens to measure on, and what a token is worth in bytes of text."""

    stream: Stream
    bytes_per_token: float


class ShardWriter:
    """Ids of one genre on their way into files `STEM-000.bin` and on, in the folder `folder`."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder, self._stem = folder, stem
        self._waiting = array("H")
        self.names: list[str] = []
        self.tokens = 0

    def add(self, ids: Iterable[int]) -> None:
        """Take `ids`, each under 65,536.

        Raises:
            OSError: as the disk says.
        """
        before = len(self._waiting)
        self._waiting.extend(ids)
        self.tokens += len(self._waiting) - before
        while len(self._waiting) >= SHARD_TOKENS:
            self._write(self._waiting[:SHARD_TOKENS])
            del self._waiting[:SHARD_TOKENS]

    def close(self) -> None:
        """Write what is left.

        Raises:
            OSError: as the disk says.
        """
        if self._waiting:
            self._write(self._waiting)
            self._waiting = array("H")

    def _write(self, ids: array[int]) -> None:
        name = f"{self._stem}-{len(self.names):03}.bin"
        write_synced(self._folder / name, ids.tobytes())
        self.names.append(name)


class Stream:
    """The ids in some files as one row of them, whose end goes on with its beginning."""

    def __init__(self, paths: Sequence[Path]) -> None:
        sizes = [path.stat().st_size // 2 for path in paths]
        self._shards = [
            torch.from_file(str(path), shared=False, size=size, dtype=torch.uint16)
            for path, size in zip(paths, sizes, strict=True)
        ]
        self._begins = [0, *accumulate(sizes)]

    def __len__(self) -> int:
        return self._begins[-1]

    def window(self, start: int, count: int) -> Tensor:
        """Ids from `start` on: (count,) int64."""
        pieces = []
        while count:
            start %= len(self)
            number = bisect_right(self._begins, start) - 1
            inside = start - self._begins[number]
            piece = self._shards[number][inside : inside + count]
            pieces.append(piece.long())
            start, count = start + len(piece), count - len(piece)
        return torch.cat(pieces) if len(pieces) > 1 else pieces[0]


class Windows:
    """The sequences of a run in its order, a function of the seed alone: each epoch cuts the genres at new places and shuffles.

    A window is `context` ids and the one after them. A genre that repeats is cut anew each time.
    """

    def __init__(self, streams: Sequence[tuple[Stream, int]], context: int, seed: int) -> None:
        """`streams`: each with how often an epoch reads it."""
        self._streams = [stream for stream, _ in streams]
        self._repeats = [repeats for _, repeats in streams]
        self._context = context
        self._seed = seed
        self._made: tuple[int, Tensor] | None = None

    @property
    def per_epoch(self) -> int:
        """Windows until every token was read as often as its genre repeats."""
        pairs = zip(self._streams, self._repeats, strict=True)
        return sum(-(-len(stream) // self._context) * repeats for stream, repeats in pairs)

    def batch(self, first: int, count: int) -> Tensor:
        """Windows from number `first` of the run on: (count, context + 1) int64."""
        return torch.stack([self._window(number) for number in range(first, first + count)])

    def _window(self, number: int) -> Tensor:
        epoch, place = divmod(number, self.per_epoch)
        if self._made is None or self._made[0] != epoch:
            self._made = epoch, self._order(epoch)
        genre, start = map(int, self._made[1][place])
        return self._streams[genre].window(start, self._context + 1)

    def _order(self, epoch: int) -> Tensor:
        """(windows, 2): the stream and the place in it of each window of an epoch."""
        chance = torch.Generator().manual_seed((self._seed * 1_000_003 + epoch) % (1 << 63))
        places = []
        for number, (stream, repeats) in enumerate(zip(self._streams, self._repeats, strict=True)):
            starts = torch.arange(0, len(stream), self._context)
            for shift in torch.randint(self._context, (repeats,), generator=chance):
                places.append(torch.stack([torch.full_like(starts, number), starts + shift], 1))  # noqa: PERF401 - draws in order
        whole = torch.cat(places)
        return whole.index_select(0, torch.randperm(len(whole), generator=chance))


@dataclass(frozen=True)
class Prepared:
    """Texts as tokens, in `folder`."""

    folder: Path
    manifest: Manifest

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer's files."""
        return self.folder / TOKENIZER

    def windows(self, context: int, seed: int) -> Windows:
        """What a run learns from."""
        streams = [
            (Stream([self.folder / name for name in genre.shards]), genre.repeats)
            for genre in self.manifest.genres
            if genre.tokens
        ]
        return Windows(streams, context, seed)

    def held_out(self) -> dict[str, HeldOut]:
        """What a run is measured on, by genre."""
        return {
            genre.genre: HeldOut(
                Stream([self.folder / genre.held_out]), genre.held_out_bytes / genre.held_out_tokens
            )
            for genre in self.manifest.genres
            if genre.held_out_tokens > 1
        }


def learned_texts(folder: Path) -> Iterator[tuple[str, str]] | None:
    """A name and a text for each document that a run whose tokens are in `folder` learns from; None where no tokens are."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, ValueError):  # msgspec's errors, and bytes that are no UTF-8
        return None
    return _learned(Prepared(folder, manifest))


def _learned(prepared: Prepared) -> Iterator[tuple[str, str]]:
    tokenizer = Tokenizer.from_file(str(prepared.tokenizer / "tokenizer.json"))
    for genre in prepared.manifest.genres:
        begun = array("H")  # a document that goes on in the next file
        number = 0
        for name in genre.shards:
            ids = begun + array("H", (prepared.folder / name).read_bytes())
            *whole, begun = _split(ids, prepared.manifest.end)
            for start in range(0, len(whole), _DECODED_AT_ONCE):
                some = [piece.tolist() for piece in whole[start : start + _DECODED_AT_ONCE]]
                for text in tokenizer.decode_batch(some, skip_special_tokens=False):
                    number += 1
                    yield f"{prepared.folder}: {genre.genre} {number}", text


def _split(ids: array[int], end: int) -> list[array[int]]:
    """`ids` between one `end` and the next; what comes after the last is the last."""
    pieces, start = [], 0
    for _ in range(ids.count(end)):
        found = ids.index(end, start)
        pieces.append(ids[start:found])
        start = found + 1
    return [*pieces, ids[start:]]


def held_out_texts(genre: str) -> str:
    """The name of the file with what is held out of `genre` as texts, one a line: what `eval perplexity` reads."""
    return f"held-{genre}.jsonl"


def files_in(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and sha256 of every file under `folder` but the manifest."""
    return {
        str(path.relative_to(folder)): size_and_hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def open_prepared(folder: Path, key: str) -> Prepared | None:
    """What was prepared in `folder` from the same things; None where nothing was, or a file of it is not as it was."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        whole = manifest.key == key and manifest.files == files_in(folder)
    except (OSError, ValueError):  # msgspec's errors, and bytes that are no UTF-8
        return None
    return Prepared(folder, manifest) if whole else None
