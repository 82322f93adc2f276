"""What a model's products are given when it reads ordinary text: the inputs that four-bit weights are fitted to.

One layer at a time: beside the layer's own weights only its rows of the calibration text are in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody reads

from storyteller.engine.network.linear import activate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from storyteller.engine.network.model import Norm
    from storyteller.engine.network.model_config import ModelConfig

_LENGTH: Final = 512  # tokens of a sequence, where the window has room for them
MOST_TOKENS: Final = 3072


class Calibration:
    """Rows of text on their way through the layers; `layer` moves them on by one."""

    def __init__(self, ids: Sequence[int], token_embedding: Tensor, position_embedding: Tensor) -> None:
        """Begin with the first tokens of `ids`, of which there must be at least one."""
        length = min(_LENGTH, len(position_embedding), len(ids))
        rows = max(1, min(len(ids), MOST_TOKENS) // length)
        tokens = torch.tensor(ids[: rows * length]).view(rows, length)
        embedded = token_embedding[tokens].float() + position_embedding[:length].float()
        self._x = embedded  # (rows, length, d)

    def head(self, config: ModelConfig, norm: Norm) -> Tensor:
        """After the last layer: the Hessian (d, d) of what the product to logits is given."""
        flat = norm(self._x, config.layer_norm_epsilon).reshape(-1, config.n_embd)
        return flat.t() @ flat

    def layer(
        self,
        config: ModelConfig,
        index: int,
        norms: tuple[Norm, Norm],
        products: Mapping[str, tuple[Tensor, Tensor]],
    ) -> dict[str, Tensor]:
        """Read through layer `index`, whose `products` are weights (outputs, inputs) and biases by part, float32.

        Returns:
            by part, the Hessian (inputs, inputs) of what its product was given.
        """
        hessians: dict[str, Tensor] = {}
        epsilon = config.layer_norm_epsilon

        def apply(part: str, x: Tensor) -> Tensor:
            flat = x.reshape(-1, x.shape[-1])
            hessians[part] = flat.t() @ flat
            return F.linear(x, *products[part])

        rows, length, d = self._x.shape
        mixed = apply("attn.c_attn", norms[0](self._x, epsilon))
        q, k, v = mixed.view(rows, length, 3, config.n_head, config.head_dim).permute(2, 0, 3, 1, 4)
        scale = config.attention_scale(index)
        gathered = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        self._x = self._x + apply("attn.c_proj", gathered.transpose(1, 2).reshape(rows, length, d))
        widened = apply("mlp.c_fc", norms[1](self._x, epsilon))
        self._x = self._x + apply("mlp.c_proj", activate(widened, config.activation_function))
        return hessians
