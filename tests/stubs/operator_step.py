"""A step that goes on by itself, made of plain operators: stands for a captured graph where there is no GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from storyteller.engine.network.step import Rows

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.step import Cache, Draw


class OperatorStep:
    """One row of a trunk at a time. Fits `step.FusedStep` and `step.AheadStep`.

    Attributes:
        advanced: tokens read unasked so far.
    """

    keys_by_position = True
    most_rows = 1
    worthwhile = 1

    def __init__(self, network: Network) -> None:
        self._network = network
        self._token, self._position = 0, 0
        self._trunk: Cache | None = None
        self._kept: Tensor | None = None
        self._drawn = torch.zeros(2, dtype=torch.float64)
        self.advanced = 0

    def for_network(self, network: Network) -> OperatorStep | None:
        """None: adapters are for the operators."""
        return None

    def __call__(self, rows: Rows, trunk: Cache, branches: Cache | None) -> Tensor:
        """The hidden state (1, d) of one row after its trunk."""
        assert len(rows) == 1
        assert branches is None
        end = rows.seen[0]
        network = self._network

        def attend(layer: int, qkv: Tensor) -> Tensor:
            keys, values = trunk.keys[layer], trunk.values[layer]
            q, k, v = qkv.view(3, *keys.shape[:2])  # (heads, width)
            keys[:, :, end - 1], values[:, end - 1] = k, v
            scores = torch.einsum("hw,hwn->hn", q, keys[:, :, :end]) * network.config.attention_scale(layer)
            return torch.einsum("hn,hnw->hw", scores.softmax(-1), values[:, :end]).reshape(1, -1)

        x = network.embed(torch.tensor(rows.tokens), torch.tensor(rows.positions))
        return network.forward(x, attend).float()

    def logits(self, hidden: Tensor) -> Tensor:
        """(n, d) to (n, vocab)."""
        return self._network.head(hidden).float()

    def begin(self, token: int, position: int, trunk: Cache, kept: Tensor) -> None:
        """As the protocol says."""
        self._token, self._position, self._trunk, self._kept = token, position, trunk, kept

    def advance(self, draw: Draw, chance: Tensor) -> Tensor:
        """As the protocol says."""
        assert self._trunk is not None
        assert self._kept is not None
        hidden = self(Rows.of_trunk([self._token], self._position), self._trunk, None)
        self._kept[self._position] = hidden[0]
        self._drawn.copy_(draw(self.logits(hidden)[0], chance))
        self._token = max(0, int(self._drawn[0]))
        self._position += 1
        self.advanced += 1
        return self._drawn


def with_operator_step(network: Network) -> Network:
    """`network`, whose single rows go through an `OperatorStep`."""
    return replace(network, step=OperatorStep(replace(network, step=None)))
