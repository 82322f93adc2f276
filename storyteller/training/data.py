"""Documents as the tokens a run learns from: split into read and held out, and drawn as windows of one long stream.

Everything follows from the documents and the seed: window n of a run is the same whenever it is asked for, which is
what makes a resumed run equal to one that never stopped.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Final

import torch

from storyteller.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from storyteller.training.corpus.document import Document

HELD_OUT: Final = 0.1  # of the documents
_FEW: Final = 5  # documents: fewer are split inside, at a paragraph
_MOST_MEASURED: Final = 30_000  # tokens: base and adapter on the same ones, so a hundredth shows
_MEASURED_OF_ONE: Final = 512  # tokens of a text that are measured on at least, if that is so many
IGNORED: Final = -100  # a target that does not count


@dataclass(frozen=True, eq=False)
class Pieces:
    """Token ids of texts, each with its end-of-document mark where it has one.

    Attributes:
        read, held_out: what is learned from, and what is only measured on.
        documents, held_out_documents: how many texts those are from. What is held out beyond what is measured on is in neither.
        hash: sha256 over both, in order.
    """

    read: tuple[array[int], ...]
    held_out: tuple[array[int], ...]
    documents: int
    held_out_documents: int
    hash: str

    @property
    def tokens(self) -> int:
        """Learned from."""
        return sum(map(len, self.read))

    @property
    def held_out_tokens(self) -> int:
        """Measured on."""
        return sum(map(len, self.held_out))


def tokenise(
    documents: Sequence[Document], encode: Callable[[str], Sequence[int]], eos: int, *, whole: bool
) -> Pieces:
    """Split `documents` by a hash of their text, so that a text stays on its side whatever is added to the corpus.

    Args:
        documents: what to learn from.
        encode: text to ids.
        eos: the id that ends a whole document.
        whole: whether they are; fragments end with a blank line instead.

    Raises:
        CorpusError: too little is left to learn from, or to measure on.
    """
    end = [eos] if whole else list(encode("\n\n"))
    texts = [document.page for document in documents]
    if len(texts) < _FEW:
        sides = [_divided(text) for text in texts]
        # What precedes a cut does not end a document.
        read = [array("i", [*encode(start), *([] if rest else end)]) for start, rest in sides if start]
        held_out = [array("i", [*encode(rest), *end]) for _, rest in sides if rest]
    else:
        chosen = _chosen(texts)
        read = [
            array("i", [*encode(text), *end]) for text, held in zip(texts, chosen, strict=True) if not held
        ]
        held_out = [
            array("i", [*encode(text), *end]) for text, held in zip(texts, chosen, strict=True) if held
        ]
    if not read or not held_out or sum(map(len, read)) < 64 or sum(map(len, held_out)) < 8:
        raise CorpusError(
            f"{len(texts)} texts of {sum(map(len, chain(read, held_out)))} tokens are too few to learn from and hold "
            "some out to measure on. Add texts: storyteller corpus add GENRE FOLDER."
        )
    digest = hashlib.sha256()
    for piece in chain(read, held_out):
        digest.update(piece.tobytes() + b"|")
    measured = _measured(held_out)
    return Pieces(tuple(read), tuple(measured), len(read), len(measured), digest.hexdigest())


class Windows:
    """The sequences of a run, in its order: each epoch shuffles the documents and cuts the stream at new places.

    A window is `seq` tokens and the one after them; the end of a stream goes on with its beginning.
    """

    def __init__(self, pieces: Sequence[Sequence[int]], seq: int, seed: int) -> None:
        self._pieces = pieces
        self._seq = seq
        self._seed = seed
        self._total = sum(map(len, pieces))
        self._epoch = lru_cache(2)(self._make_epoch)

    @property
    def per_epoch(self) -> int:
        """Windows until every token was read once."""
        return -(-self._total // self._seq)

    def __getitem__(self, number: int) -> Tensor:
        """Window `number` of the run, counted through all epochs: (seq + 1,) ids."""
        return self.window_of(*divmod(number, self.per_epoch))

    def window_of(self, epoch: int, place: int) -> Tensor:
        """Window `place` of an epoch: (seq + 1,) ids."""
        stream, starts = self._epoch(epoch)
        start = starts[place]
        wanted = torch.arange(start, start + self._seq + 1) % self._total
        return stream[wanted]

    def rows(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """What is read and what is to be predicted, (count, seq) each, from sequence `first` of the run on."""
        inputs, targets = zip(*(self._row(number) for number in range(first, first + count)), strict=True)
        return torch.stack(inputs), torch.stack(targets)

    def counted(self, first: int, count: int) -> int:
        """Targets that count in `count` sequences from `first` of the run on."""
        del first  # all do, whichever they are
        return count * self._seq

    def _row(self, number: int) -> tuple[Tensor, Tensor]:
        window = self[number]
        return window[:-1], window[1:]

    def _make_epoch(self, epoch: int) -> tuple[Tensor, list[int]]:
        chance = random.Random(f"{self._seed}/{epoch}")
        order = list(range(len(self._pieces)))
        chance.shuffle(order)
        stream = torch.tensor(list(chain.from_iterable(self._pieces[i] for i in order)), dtype=torch.int64)
        shift = chance.randrange(self._seq)
        starts = [shift + i * self._seq for i in range(-(-self._total // self._seq))]
        chance.shuffle(starts)
        return stream, starts


def measured_windows(pieces: Sequence[Sequence[int]], seq: int, eos: int) -> list[tuple[Tensor, int]]:
    """The held-out stream, begun by `eos`, cut into windows (n + 1,) that each predict n tokens, every token once."""
    stream = torch.tensor([eos, *chain.from_iterable(pieces)], dtype=torch.int64)
    return [
        (stream[start : start + seq + 1], min(seq, len(stream) - 1 - start))
        for start in range(0, len(stream) - 1, seq)
    ]


def _chosen(texts: Sequence[str]) -> list[bool]:
    """Which texts are held out: at least one, at most half."""
    marks = [
        int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8]) / 2**64 for text in texts
    ]
    ordered = sorted(marks)
    bound = min(max(HELD_OUT, ordered[0]), ordered[len(ordered) // 2 - 1])
    return [mark <= bound for mark in marks]


def _divided(text: str) -> tuple[str, str]:
    """The beginning of a long text and its last tenth, cut between two paragraphs: never a last word alone."""
    half, tenth, least = len(text) // 2, int(len(text) * (1 - HELD_OUT)), int(len(text) * (1 - HELD_OUT / 2))
    at = text.find("\n\n", tenth, least)
    if at < 0:
        at = text.rfind("\n\n", half, tenth)
    if at < 0:
        at = text.rfind("\n", half, least)
    return (text, "") if at < 0 else (text[:at], text[at:].lstrip("\n"))


def _measured(pieces: Sequence[array[int]]) -> list[array[int]]:
    """What is measured of `pieces`: all; of more than `_MOST_MEASURED` tokens the beginnings of some, from all over the corpus."""
    if sum(map(len, pieces)) <= _MOST_MEASURED:
        return list(pieces)
    of_one = max(_MEASURED_OF_ONE, _MOST_MEASURED // len(pieces))
    kept: list[array[int]] = []
    left = _MOST_MEASURED
    for piece in sorted(pieces, key=lambda piece: hashlib.sha256(piece.tobytes()).digest()):
        kept.append(piece[: min(of_one, left)])
        left -= len(kept[-1])
        if left == 0:
            break
    return kept
