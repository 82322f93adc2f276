"""GPT-2's forward pass over rows of tokens. How rows see each other is the cache's business, passed in as `attend`.

Source: Radford et al. 2019; the order of operations is that of transformers' GPT2LMHeadModel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import torch

from storyteller.engine.network.linear import AdaptedLinear

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from storyteller.engine.network.linear import Linear
    from storyteller.engine.network.model_config import ModelConfig
    from storyteller.engine.network.step import FusedStep

    Attend: TypeAlias = Callable[[int, Tensor], Tensor]
    """From a layer's number and its queries, keys and values (n, 3 d) to what the heads gathered (n, d)."""

    LowRank: TypeAlias = tuple[Tensor, Tensor]
    """A (inputs, rank) and B (rank, outputs), scaled already."""

PARTS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
"""The four products of a block, by the names that files give them."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm's weight and bias (d,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor, epsilon: float) -> Tensor:
        """`x` (n, d) normalised; in float32 inside, whatever the dtype."""
        return torch.layer_norm(x, self.weight.shape, self.weight, self.bias, epsilon)


@dataclass(frozen=True, slots=True)
class Block:
    """One layer: attention and MLP, each added to the residual stream."""

    norm_1: Norm
    attention_in: Linear  # d to 3 d: queries, keys, values
    attention_out: Linear  # d to d
    norm_2: Norm
    mlp_in: Linear  # d to inner
    mlp_out: Linear  # inner to d


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A GPT-2 in memory. Immutable: with adapters it is another network that shares these tensors."""

    config: ModelConfig
    token_embedding: Tensor  # (vocab, d)
    position_embedding: Tensor  # (window, d)
    blocks: tuple[Block, ...]
    norm: Norm
    head: Linear  # d to vocab
    step: FusedStep | None = None  # what few rows go through instead of `forward`, where there is one

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.token_embedding.device

    @property
    def dtype(self) -> torch.dtype:
        """What is computed in."""
        return self.token_embedding.dtype

    @property
    def weight_bytes(self) -> int:
        """What one token reads of all products."""
        parts = (
            part
            for block in self.blocks
            for part in (block.attention_in, block.attention_out, block.mlp_in, block.mlp_out)
        )
        return self.head.weight_bytes + sum(part.weight_bytes for part in parts)

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Tokens and positions (n,) to rows (n, d)."""
        return self.token_embedding[ids] + self.position_embedding[positions]

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        """Rows (n, d) through every block and the final norm: (n, d)."""
        epsilon, activation = self.config.layer_norm_epsilon, self.config.activation_function
        for layer, block in enumerate(self.blocks):
            gathered = attend(layer, block.attention_in(block.norm_1(x, epsilon)))  # (n, d)
            x = block.attention_out.added(gathered, x)
            widened = block.mlp_in.activated(block.norm_2(x, epsilon), activation)  # (n, inner)
            x = block.mlp_out.added(widened, x)
        return self.norm(x, epsilon)

    def logits(self, hidden: Tensor) -> Tensor:
        """Rows (n, d) after the final norm to float32 logits (n, vocab)."""
        if self.step is not None and len(hidden) <= self.step.worthwhile:
            return self.step.logits(hidden)
        return self.head(hidden.to(self.dtype)).float()

    def with_adapters(self, products: Sequence[Mapping[str, LowRank]]) -> Network:
        """This network with low-rank products beside its weights: one mapping a layer, from `PARTS` to A and B."""
        blocks = tuple(_adapted(block, beside) for block, beside in zip(self.blocks, products, strict=True))
        adapted = replace(self, blocks=blocks, step=None)
        return adapted if self.step is None else replace(adapted, step=self.step.for_network(adapted))


def _adapted(block: Block, beside: Mapping[str, LowRank]) -> Block:
    def adapt(base: Linear, part: str) -> Linear:
        return AdaptedLinear(base, *beside[part]) if part in beside else base

    return replace(
        block,
        attention_in=adapt(block.attention_in, "attn.c_attn"),
        attention_out=adapt(block.attention_out, "attn.c_proj"),
        mlp_in=adapt(block.mlp_in, "mlp.c_fc"),
        mlp_out=adapt(block.mlp_out, "mlp.c_proj"),
    )
