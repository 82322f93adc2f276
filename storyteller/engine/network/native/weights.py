"""Weights in the forms the compiled step reads, and the products they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.linear import activate
from storyteller.engine.network.native.library import BFLOAT16, FLOAT32, INT4, INT8, Weight

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.model_config import ActivationName
    from storyteller.engine.network.native.engine import NativeEngine
    from storyteller.engine.network.tiles import Tiles

_KINDS: Final = {torch.float32: FLOAT32, torch.bfloat16: BFLOAT16}


class NativeWeight:
    """One weight where the step can read it. Keeps alive what it points to.

    Attributes:
        description: its C structure.
    """

    def __init__(
        self,
        kind: int,
        shape: tuple[int, int],
        group: int,
        data: Tensor,
        scales: Tensor | None,
        bias: Tensor | None,
    ) -> None:
        """`shape` is (outputs, inputs); `data` and `scales` are as `weights.hpp` says, `bias` is (outputs,)."""
        self._kept = (data, scales, None if bias is None else bias.float().contiguous())
        data_at, scales_at, bias_at = (None if t is None else t.data_ptr() for t in self._kept)
        self.description = Weight(data_at, scales_at, bias_at, kind, *shape, group)


def float_weight(weight: Tensor, bias: Tensor | None) -> NativeWeight:
    """`weight` (outputs, inputs), contiguous, float32 or bfloat16, where it is."""
    outputs, inputs = weight.shape
    return NativeWeight(_KINDS[weight.dtype], (outputs, inputs), inputs, weight, None, bias)


class NativeLinear:
    """A `Linear` of a weight in few bits, for any number of rows.

    Rows are brought into eight bits, 32 numbers to a scale: 0.3 % off where bfloat16 is 0.2 % off, and a prefill of
    128 rows of gpt2-large takes three quarters of bfloat16's time, with no second copy of the weights.
    """

    def __init__(self, engine: NativeEngine, tiles: Tiles, bias: Tensor | None) -> None:
        kind = INT4 if tiles.bits == 4 else INT8
        shape = tiles.outputs, tiles.inputs
        self.weight = NativeWeight(kind, shape, tiles.group, tiles.data, tiles.scales, bias)
        self._engine = engine
        self.weight_bytes = tiles.bytes

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs), in the dtype of `x`."""
        out = torch.empty(len(x), self.weight.description.outputs)
        return self._engine.product(self.weight.description, x.float().contiguous(), out).to(x.dtype)

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        return residual + self(x)
