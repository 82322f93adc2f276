"""Products of weights in few bits on a GPU: packed for `kernels.product`, expanded for many rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody reads

from storyteller.engine.network.linear import activate

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.model_config import ActivationName
    from storyteller.engine.network.quantise import Codes

GROUP: Final = 64  # inputs to a scale and a minimum in four bits
PAIR: Final = (
    2 * GROUP
)  # inputs to 64 bytes: a byte's low half is of the first group, its high half of the second


class CudaLinear:
    """A weight in eight or four bits.

    Attributes:
        data: (outputs, inputs) int8, or (outputs, inputs / 2) uint8: byte i of 64 holds inputs i and 64 + i of 128.
        scales: (outputs,) float32, or (outputs, 2, groups) float16: scales, then minimums.
        bias: (outputs,) or None.
    """

    def __init__(self, codes: Codes, bias: Tensor | None, device: torch.device, dtype: torch.dtype) -> None:
        """Use `fits` first. `dtype` is of the rows that many are multiplied in."""
        self.outputs, self.inputs = codes.codes.shape
        self.bits = codes.bits
        self.bias = bias
        self._dtype = dtype
        if codes.mins is None:
            self.data = codes.codes.to(device).contiguous()
            self.scales = codes.scales[:, 0].float().to(device).contiguous()
            return
        halves = codes.codes.view(self.outputs, -1, 2, GROUP)  # (outputs, pairs, low or high, 64)
        self.data = (halves[:, :, 0] | halves[:, :, 1] << 4).flatten(1).to(device).contiguous()
        self.scales = torch.stack((codes.scales, codes.mins), 1).to(device).contiguous()

    @property
    def weight_bytes(self) -> int:
        """What one product reads of the weight."""
        return self.data.nbytes + self.scales.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return F.linear(x, self._expanded(), self.bias)

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        return residual + self(x)

    def _expanded(self) -> Tensor:
        if self.bits == 8:
            return (self.data * self.scales[:, None]).to(self._dtype)
        pairs = self.data.view(self.outputs, -1, 1, GROUP)
        codes = torch.cat((pairs & 15, pairs >> 4), 2).view(self.outputs, -1, GROUP)
        scales, mins = self.scales.float().unbind(1)
        return (codes * scales[..., None] + mins[..., None]).flatten(1).to(self._dtype)


def fits(codes: Codes) -> bool:
    """Whether `codes` can be packed so: whole pairs of groups of 64, or any eight bits in 16-byte loads."""
    inputs = codes.codes.shape[1]
    return inputs % 16 == 0 if codes.bits == 8 else codes.group == GROUP and inputs % PAIR == 0
