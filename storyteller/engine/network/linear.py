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

    @property
    def weight_bytes(self) -> int:
        """What one product reads of the weight."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        ...

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        ...

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        ...


class DenseLinear:
    """Weights as torch keeps them, (outputs, inputs): on any device, for `F.linear`.

    Attributes:
        weight: (outputs, inputs), contiguous.
        bias: (outputs,) or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight
        self.bias = bias

    @property
    def weight_bytes(self) -> int:
        """What one product reads of the weight."""
        return self.weight.numel() * self.weight.itemsize

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return F.linear(x, self.weight, self.bias)

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        return residual + self(x)


class OneDnnLinear(DenseLinear):
    """The same on the processor, by oneDNN: 256 rows take a quarter less time in float32 than by torch's default."""

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return _pointwise(x, self.weight, self.bias, "none", [], "")

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        if activation in TANH_GELUS:
            return _pointwise(x, self.weight, self.bias, "gelu", [], "tanh")
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        return _binary(x, residual, self.weight, self.bias, "add")


class PackedLinear(OneDnnLinear):
    """Weights in oneDNN's own blocks, for a processor without the compiled step.

    Measured on two Zen 5 cores against torch's own order, gpt2-large's shapes: one row reads weights at 38 GB/s
    instead of 27 (bfloat16) and 20 (float32), of 41 that the memory gives; many rows take a twentieth less time.
    """

    _ROWS = 4  # what the blocks are laid out for; with 1, float32 is a third slower

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """`weight` is (outputs, inputs), contiguous or the transpose of what is, and is copied."""
        blocks = torch.ops.mkldnn._reorder_linear_weight(weight, self._ROWS)  # as inductor calls it
        super().__init__(blocks, bias)


class AdaptedLinear:
    """A `Linear` with a low-rank product beside it: y = x W + b + (x A) B, the base untouched.

    Source: Hu et al. 2021, LoRA.
    """

    def __init__(self, base: Linear, down: Tensor, up: Tensor) -> None:
        """`down` is A (inputs, rank), `up` is B (rank, outputs), scaled already."""
        self.base = base
        self.down = down
        self.up = up

    @property
    def weight_bytes(self) -> int:
        """What one product reads of weight and low-rank product."""
        return self.base.weight_bytes + self.down.nbytes + self.up.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return torch.addmm(self.base(x), x @ self.down, self.up)

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs).

        Not the product onto the sum: in bfloat16 it would be less than the residual's last digit, layer after layer.
        """
        return residual + self(x)


def linear(weight: Tensor, bias: Tensor | None, *, packed: bool = True) -> Linear:
    """The fastest form of a product for where `weight` (outputs, inputs) is; not `packed`, its numbers stay in order."""
    if weight.device.type != "cpu" or not can_pack(weight.dtype):
        return DenseLinear(weight.contiguous(), bias)
    return PackedLinear(weight, bias) if packed else OneDnnLinear(weight.contiguous(), bias)


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


TANH_GELUS = frozenset({"gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh"})
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


def _pointwise(
    x: Tensor, weight: Tensor, bias: Tensor | None, unary: str, scalars: list[float], algorithm: str
) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, unary, scalars, algorithm)
    return product


def _binary(x: Tensor, other: Tensor, weight: Tensor, bias: Tensor | None, binary: str) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, weight, bias, binary)
    return product
