"""A few rows of tokens through the whole network as one call: what compiled steps offer, and what they work on.

A network without such a step is run operator by operator, with the same results but for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.model_config import ModelConfig


@dataclass(frozen=True, eq=False)
class Cache:
    """Keys and values of one sequence, or of several.

    Attributes:
        keys: (layers, [rows,] heads, width, capacity); where a step wants `keys_by_position`, the view of a tensor
            whose positions come before its width.
        values: (layers, [rows,] heads, capacity, width).
    """

    keys: Tensor
    values: Tensor

    @property
    def capacity(self) -> int:
        """Positions there is room for."""
        return self.values.shape[-2]


@dataclass(frozen=True)
class Rows:
    """Tokens read together, a row each, after what the caches hold; a tuple's element i is about row i.

    Attributes:
        seen: positions of the trunk the row may look at, its own included where it has no branch.
        branch: its branch's row; -1: it extends the trunk, and its key and value go to position `seen - 1`.
        own: positions of its branch it may look at, its own included; its key and value go to `own - 1`.
    """

    tokens: tuple[int, ...]
    positions: tuple[int, ...]
    seen: tuple[int, ...]
    branch: tuple[int, ...]
    own: tuple[int, ...]

    @classmethod
    def of_trunk(cls, ids: Sequence[int], start: int) -> Rows:
        """`ids` after the first `start` positions of a trunk."""
        count = len(ids)
        places = tuple(range(start, start + count))
        return cls(tuple(ids), places, tuple(place + 1 for place in places), (-1,) * count, (0,) * count)

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[tuple[int, int, int, int, int]]:
        return zip(self.tokens, self.positions, self.seen, self.branch, self.own, strict=True)

    def piece(self, first: int, count: int) -> Rows:
        """The rows from `first` on, at most `count`."""
        part = slice(first, first + count)
        return Rows(
            self.tokens[part], self.positions[part], self.seen[part], self.branch[part], self.own[part]
        )


class FusedStep(Protocol):
    """A compiled step of one network."""

    @property
    def most_rows(self) -> int:
        """Rows that one call takes."""
        ...

    @property
    def worthwhile(self) -> int:
        """Rows, in several calls if need be, up to which calls are faster than the operators."""
        ...

    @property
    def keys_by_position(self) -> bool:
        """Whether keys should lie in memory as values do."""
        ...

    def for_network(self, network: Network) -> FusedStep | None:
        """The same for `network`, which has other adapters beside the same weights; None where it cannot be."""
        ...

    def __call__(self, rows: Rows, trunk: Cache, branches: Cache | None) -> Tensor:
        """Read `rows`; their keys and values go into the caches.

        Returns:
            (n, d) hidden states after the final norm, float32.
        """
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Rows (n, d) after the final norm, at most `worthwhile`, to float32 logits (n, vocab)."""
        ...


@dataclass(frozen=True)
class Part:
    """Rows for one network's step and the caches they are read against: a whole call, or some of a joined one."""

    step: FusedStep
    rows: Rows
    trunk: Cache
    branches: Cache | None


@runtime_checkable
class JoinedStep(FusedStep, Protocol):
    """A compiled step that reads rows of several networks at once, which have different adapters beside the same weights.

    The weights, nearly all that a step waits for, are then read once for all of them.
    """

    def joins(self, other: FusedStep) -> bool:
        """Whether `joined` takes rows of `other` beside those of this one."""
        ...

    def joined(self, parts: Sequence[Part]) -> Tensor:
        """Read the rows of all `parts`, at most `most_rows` together: their hidden states (n, d) float32, part after part.

        A row says, bit for bit, what it says when its part is read alone. No trunk is in two parts.
        """
        ...


def read(parts: Sequence[Part]) -> list[Tensor]:
    """The hidden states (n, d) of the rows of each of `parts`; where steps join, one call for as many as it takes."""
    first = parts[0].step
    if len(parts) > 1 and isinstance(first, JoinedStep) and all(first.joins(part.step) for part in parts):
        hidden = torch.cat([first.joined(call) for call in _calls(parts, first.most_rows)])
        return list(torch.split(hidden, [len(part.rows) for part in parts]))
    return [
        torch.cat(
            [
                piece.step(piece.rows, piece.trunk, piece.branches)
                for piece in _pieces(part, part.step.most_rows)
            ]
        )
        for part in parts
    ]


def _calls(parts: Sequence[Part], most: int) -> Iterator[list[Part]]:
    """`parts`, cut where need be, in lists of at most `most` rows."""
    call: list[Part] = []
    for part in parts:
        for piece in _pieces(part, most):
            if sum(len(other.rows) for other in call) + len(piece.rows) > most:
                yield call
                call = []
            call.append(piece)
    yield call


def _pieces(part: Part, most: int) -> list[Part]:
    if len(part.rows) <= most:
        return [part]
    return [replace(part, rows=part.rows.piece(first, most)) for first in range(0, len(part.rows), most)]


@runtime_checkable
class AheadStep(FusedStep, Protocol):
    """A compiled step that can go on by itself: each token it draws on the device is read next, unseen by the host."""

    def begin(self, token: int, position: int, trunk: Cache, kept: Tensor) -> None:
        """The next `advance` reads `token` at `position` of `trunk`; hidden states go to `kept` (window, d) float32."""
        ...

    def advance(self, draw: Draw, chance: Tensor) -> Tensor:
        """Read a token, draw the next one by a `chance` (float64 scalar): (2,) float64, it and its log-probability.

        The next call overwrites it. Nothing here waits for the device.
        """
        ...


class Draw(Protocol):
    """From logits (vocab,) float32 and a uniform number to (2,) float64, a token and its log-probability."""

    @property
    def key(self) -> Hashable:
        """Equal for draws that draw the same."""
        ...

    def __call__(self, logits: Tensor, chance: Tensor) -> Tensor:
        """Operators on the device alone, the same ones every time."""
        ...


def new_cache(
    config: ModelConfig,
    capacity: int,
    *,
    rows: int | None = None,
    dtype: torch.dtype,
    device: torch.device,
    by_position: bool,
) -> Cache:
    """Room for `capacity` positions of a sequence, or of `rows` sequences.

    Rows begin as zeros: a shorter row's unused places are multiplied by 0 before a longer row's are read.
    """
    lead = (config.n_layer, config.n_head) if rows is None else (config.n_layer, rows, config.n_head)
    make = torch.empty if rows is None else torch.zeros
    values = make(*lead, capacity, config.head_dim, dtype=dtype, device=device)
    if by_position:
        return Cache(make(values.shape, dtype=dtype, device=device).transpose(-1, -2), values)
    return Cache(make(*lead, config.head_dim, capacity, dtype=dtype, device=device), values)
