"""Spans a writer kept, as sequences to learn from: what stood before them is read, and only they are learned."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
import torch

from storyteller.engine.prompt.tokens import same_beginning
from storyteller.errors import CorpusError
from storyteller.training.data import IGNORED, Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class _Row(msgspec.Struct, kw_only=True):
    """A line of an `sft` data set (feedback/export.py), as far as it matters here."""

    prompt: str
    prompt_ids: list[int]
    prompt_truncated: bool
    completion: str
    completion_ids: list[int] | None
    eos: bool
    model_hash: str


@dataclass(frozen=True)
class Example:
    """Token ids, of which those from `first` on are learned."""

    ids: tuple[int, ...]
    first: int


def read_examples(
    lines: bytes, encode: Callable[[str], Sequence[int]], *, eos: int, model_hash: str
) -> tuple[Example, ...]:
    """The rows of an `sft` data set as examples for the model with `model_hash`.

    A take that stands as it was sampled has its own ids, since text may not encode to them. All else is made anew from
    text: another model's ids mean nothing here, and `prompt_ids` end before an unfinished word, which only a whole
    take says again.

    Raises:
        CorpusError: a line is no such row.
    """
    decoder = msgspec.json.Decoder(_Row)
    examples = []
    for number, line in enumerate(lines.splitlines(), 1):
        try:
            row = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise CorpusError(f"Line {number} of the feedback is no kept span ({error}).") from error
        if row.model_hash == model_hash and row.completion_ids:
            ids, first = [*row.prompt_ids, *row.completion_ids], len(row.prompt_ids)
        else:
            ids, first = _anew(row, encode, eos)
        examples.append(Example((*ids, *([eos] if row.eos else [])), first))
    return tuple(examples)


def _anew(row: _Row, encode: Callable[[str], Sequence[int]], eos: int) -> tuple[list[int], int]:
    """The ids of a row's text, and how many of them are read only: those that the prompt alone begins with, too.

    A token that spans the place where the completion begins is learned.
    """
    begin = [] if row.prompt_truncated else [eos]
    before, ids = encode(row.prompt), encode(row.prompt + row.completion)
    return [*begin, *ids], len(begin) + same_beginning(before, ids)


class MixedWindows(Windows):
    """Windows of a text and examples, shuffled together: an epoch has every window once, and every example.

    Of more examples than windows it has as many as windows, and those that wait come first in the next one: at least
    half of what is learned is a text, and a model does not learn itself.
    """

    def __init__(
        self, pieces: Sequence[Sequence[int]], seq: int, seed: int, examples: Sequence[Example], eos: int
    ) -> None:
        super().__init__(pieces, seq, seed)
        self._examples = examples
        self._eos = eos
        self.taken = min(len(examples), super().per_epoch)
        """Examples of an epoch."""
        self._order = lru_cache(2)(self._make_order)
        self._turn = lru_cache(2)(self._make_turn)

    @property
    def per_epoch(self) -> int:
        """Windows and examples until the text was read once."""
        return super().per_epoch + self.taken

    def counted(self, first: int, count: int) -> int:
        """Targets that count: all of a window, and of an example what was kept."""
        return int((self.rows(first, count)[1] != IGNORED).sum())

    def _row(self, number: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(number, self.per_epoch)
        chosen = self._order(epoch)[place]
        if chosen >= self.taken:
            window = self.window_of(epoch, chosen - self.taken)
            return window[:-1], window[1:]
        turn, chosen = divmod(epoch * self.taken + chosen, len(self._examples))
        return self._example(self._examples[self._turn(turn)[chosen]])

    def _make_order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        order: list[int] = torch.randperm(self.per_epoch, generator=generator).tolist()
        return order

    def _make_turn(self, turn: int) -> list[int]:
        """The order in which all examples are taken for the `turn`-th time."""
        order = list(range(len(self._examples)))
        random.Random(f"{self._seed}/{turn}").shuffle(order)
        return order

    def _example(self, example: Example) -> tuple[Tensor, Tensor]:
        """Cut from the left where it is too long, filled up at the right where it is too short."""
        cut = max(0, len(example.ids) - self._seq - 1)
        ids, first = example.ids[cut:], max(1, example.first - cut)
        padding = self._seq + 1 - len(ids)
        inputs = torch.tensor([*ids, *[self._eos] * padding][:-1])
        targets = torch.full((self._seq,), IGNORED)
        targets[first - 1 : len(ids) - 1] = torch.tensor(ids[first:])
        return inputs, targets
