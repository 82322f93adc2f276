"""Weights in the forms the compiled step reads, and the products they make."""

from __future__ import annotations

from ctypes import byref
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.linear import activate
from storyteller.engine.network.native.library import BFLOAT16, FLOAT32, INT4, INT8, LANES, SPAN, Weight

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.model_config import ActivationName
    from storyteller.engine.network.native.engine import NativeEngine
    from storyteller.engine.network.quantise import Codes

_KINDS: Final = {torch.float32: FLOAT32, torch.bfloat16: BFLOAT16}
_FEW: Final = (
    32  # rows up to which the weights are read in few bits; more are worth expanding them to bfloat16
)


class NativeWeight:
    """One weight where the step can read it. Keeps alive what it points to.

    Attributes:
        description: its C structure.
        tensors: what a cache on disk holds of it, by name: nothing for floats.
    """

    def __init__(self, description: Weight, bias: Tensor | None, tensors: dict[str, Tensor]) -> None:
        """`tensors` are `data`, and `scales` for few bits; `bias` is (outputs,)."""
        self._bias = None if bias is None else bias.float().contiguous()
        self.description, self.tensors = description, tensors
        description.data = tensors["data"].data_ptr()
        description.scales = tensors["scales"].data_ptr() if "scales" in tensors else None
        description.bias = None if self._bias is None else self._bias.data_ptr()

    @property
    def bytes(self) -> int:
        """What one pass over it reads."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


def float_weight(weight: Tensor, bias: Tensor | None) -> NativeWeight:
    """`weight` (outputs, inputs), contiguous, float32 or bfloat16, where it is."""
    outputs, inputs = weight.shape
    return NativeWeight(
        Weight(kind=_KINDS[weight.dtype], outputs=outputs, inputs=inputs, group=inputs),
        bias,
        {"data": weight},
    )


def packed_weight(
    bits: int, group: int, outputs: int, inputs: int, bias: Tensor | None, tensors: dict[str, Tensor]
) -> NativeWeight:
    """A weight in few bits from what `pack` made of it, now or on an earlier day."""
    kind = INT4 if bits == 4 else INT8
    return NativeWeight(Weight(kind=kind, outputs=outputs, inputs=inputs, group=group), bias, tensors)


def pack(engine: NativeEngine, codes: Codes) -> dict[str, Tensor]:
    """The tensors of `packed_weight` for `codes`: tiles of 16 outputs, and their scales."""
    outputs, inputs = codes.codes.shape
    tiles = -(-outputs // LANES)
    kind = INT4 if codes.bits == 4 else INT8
    weight = Weight(kind=kind, outputs=outputs, inputs=inputs, group=codes.group)
    data = torch.empty(engine.library.packed_bytes(byref(weight)), dtype=torch.uint8)
    engine.library.pack(byref(weight), codes.codes.contiguous().data_ptr(), data.data_ptr())
    if codes.mins is None:
        scales = torch.zeros(tiles * LANES)
        scales[:outputs] = codes.scales[:, 0].float()
        return {"data": data, "scales": scales}
    groups = -(-(-(-inputs // SPAN) * SPAN) // codes.group)
    both = torch.zeros(tiles * LANES, groups, 2, dtype=torch.float16)
    both[:outputs, :, 0], both[:outputs, :, 1] = codes.scales, codes.mins
    scales = both.view(tiles, LANES, groups, 2).permute(0, 2, 3, 1).contiguous()  # (tiles, groups, 2, 16)
    return {"data": data, "scales": scales}


class NativeLinear:
    """A `Linear` of a weight in few bits: few rows meet it as it is, many meet it expanded to bfloat16.

    Expanding all of gpt2-large costs 0.1 s, and 128 rows of bfloat16 take 4 ms a product where rows in few
    bits would take 15.
    """

    def __init__(self, engine: NativeEngine, weight: NativeWeight, bias: Tensor | None) -> None:
        self.weight = weight
        self._engine = engine
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs), in the dtype of `x`."""
        description = self.weight.description
        if len(x) <= _FEW:
            out = torch.empty(len(x), description.outputs)
            return self._engine.product(description, x.float().contiguous(), out).to(x.dtype)
        expanded = torch.empty(description.inputs, description.outputs, dtype=torch.bfloat16)
        self._engine.library.expand(self._engine.handle, byref(description), expanded.data_ptr())
        y = x.to(torch.bfloat16) @ expanded
        return (y if self._bias is None else y + self._bias.to(y.dtype)).to(x.dtype)

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        return residual + self(x)
