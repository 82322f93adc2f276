"""The products of a GPT-2, and the forms its weights may take: this is where other precisions go in.

A `Linear` maps rows (n, inputs) to (n, outputs). Beside the plain product it offers the two forms a block
needs, so that a backend can fuse what follows: with an activation, and added to the residual stream.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody reads

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from torch import Tensor

    from storyteller.engine.network.model_config import ActivationName

    Activation: TypeAlias = Callable[[Tensor], Tensor]


class Linear(Protocol):
    """y = x W + b, with W (inputs, outputs)."""

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        ...

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        ...

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        ...


class PlainLinear:
    """Weights as torch keeps them, (outputs, inputs): on any device."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight = weight
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return F.linear(x, self._weight, self._bias)

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        return residual + self(x)


class PackedLinear:
    """Weights in oneDNN's own blocks, for the processor.

    Measured on two Zen 5 cores against `PlainLinear`, gpt2-large's shapes: one row reads weights at 38 GB/s
    instead of 27 (bfloat16) and 20 (float32), of 41 that the memory gives; 256 rows take a tenth less time in
    bfloat16 and a third of it in float32, where torch's default is MKL.
    """

    _ROWS = 4  # what the blocks are laid out for; with 1, float32 is a third slower

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """`weight` is (outputs, inputs), contiguous or the transpose of what is, and is copied."""
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, self._ROWS)  # as inductor calls it
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return _packed(x, self._weight, self._bias, "none", [], "")

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        if activation in _TANH_GELUS:
            return _packed(x, self._weight, self._bias, "gelu", [], "tanh")
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        return _packed_binary(x, residual, self._weight, self._bias, "add")


class AdaptedLinear:
    """A `Linear` with a low-rank product beside it: y = x W + b + (x A) B, the base untouched.

    Source: Hu et al. 2021, LoRA.
    """

    def __init__(self, base: Linear, down: Tensor, up: Tensor) -> None:
        """`down` is A (inputs, rank), `up` is B (rank, outputs), scaled already."""
        self._base = base
        self._down = down
        self._up = up

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return torch.addmm(self._base(x), x @ self._down, self._up)

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        return torch.addmm(self._base.added(x, residual), x @ self._down, self._up)


def linear(weight: Tensor, bias: Tensor | None) -> Linear:
    """The fastest form of a product for where `weight` (outputs, inputs) is."""
    if weight.device.type == "cpu" and can_pack(weight.dtype):
        return PackedLinear(weight, bias)
    return PlainLinear(weight.contiguous(), bias)


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether this build of torch, on this processor, has oneDNN's packed products for `dtype`."""
    try:
        probe = PackedLinear(torch.ones(8, 16, dtype=dtype), torch.zeros(8, dtype=dtype))
        x = torch.ones(2, 16, dtype=dtype)
        residual = torch.ones(2, 8, dtype=dtype)
        right = float(probe(x)[0, 0]) == 16.0 and float(probe.added(x, residual)[1, 7]) == 17.0
        return right and bool(torch.isfinite(probe.activated(x, "gelu_new")).all())
    except (RuntimeError, AttributeError, NotImplementedError):
        return False


def activate(x: Tensor, activation: ActivationName) -> Tensor:
    """The activation of transformers' name, element by element."""
    return ACTIVATIONS[activation](x)


def _tanh_gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _squared_relu(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _identity(x: Tensor) -> Tensor:
    return x


_TANH_GELUS = frozenset({"gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh"})
ACTIVATIONS: dict[ActivationName, Activation] = {
    "gelu_new": _tanh_gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
    "gelu_fast": _tanh_gelu,
    "gelu_accurate": _tanh_gelu,
    "gelu_python_tanh": _tanh_gelu,
    "gelu": F.gelu,
    "gelu_python": F.gelu,
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "relu2": _squared_relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "mish": F.mish,
    "linear": _identity,
}


def _packed(
    x: Tensor, weight: Tensor, bias: Tensor | None, unary: str, scalars: list[float], algorithm: str
) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, unary, scalars, algorithm)
    return product


def _packed_binary(x: Tensor, other: Tensor, weight: Tensor, bias: Tensor | None, binary: str) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, weight, bias, binary)
    return product
