"""Products of weights in few bits: by the compiled step where there is one, else by torch's own kernels."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.cuda import weights as cuda_weights
from storyteller.engine.network.linear import DenseLinear, activate
from storyteller.engine.network.native.weights import NativeLinear
from storyteller.engine.network.quantise import dequantise
from storyteller.engine.network.tiles import untile

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.linear import Linear
    from storyteller.engine.network.model_config import ActivationName
    from storyteller.engine.network.native.engine import NativeEngine
    from storyteller.engine.network.quantise import Codes
    from storyteller.engine.network.tiles import Tiles

_FEW: Final = 16  # rows: more are faster in bfloat16, expanded


def quantised_linear(
    tiles: Tiles, bias: Tensor | None, dtype: torch.dtype, device: torch.device, native: NativeEngine | None
) -> Linear:
    """The fastest product of `tiles` on `device`, for rows of `dtype`; exact weights of `dtype` where there is none."""
    if device.type == "cpu" and native is not None:
        return NativeLinear(native, tiles, bias)
    codes = untile(tiles)
    bias = None if bias is None else bias.to(device, dtype)
    if device.type == "cpu" and dtype == torch.bfloat16:
        if codes.bits == 8 and tiles.inputs % 16 == 0:  # others are computed wrong, or crash, in torch 2.13
            return TorchInt8Linear(codes, bias)
        if codes.bits == 4 and tiles.outputs % 64 == 0 and tiles.inputs % tiles.group == 0:
            return TorchInt4Linear(codes, bias)
    if device.type == "cuda" and find_spec("triton") is not None and cuda_weights.fits(codes):
        return cuda_weights.CudaLinear(codes, bias, device, dtype)
    return DenseLinear(dequantise(codes, dtype).to(device), bias)


class _ExpandedForMany:
    """What torch's products in few bits have in common: many rows meet the weight in bfloat16."""

    def __init__(self, codes: Codes, bias: Tensor | None) -> None:
        self._codes = codes
        self._bias = bias

    @property
    def weight_bytes(self) -> int:
        """What one product reads of the weight."""
        return self._codes.codes.numel() * self._codes.bits // 8 + 2 * self._codes.scales.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        y = x @ dequantise(self._codes, x.dtype).t() if len(x) > _FEW else self._few(x)
        return y if self._bias is None else y + self._bias

    def activated(self, x: Tensor, activation: ActivationName) -> Tensor:
        """`activation` of y: (n, outputs)."""
        return activate(self(x), activation)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """`residual` + y: (n, outputs)."""
        return residual + self(x)

    def _few(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class TorchInt8Linear(_ExpandedForMany):
    """Eight bits by torch's weight-only kernel, for bfloat16 rows."""

    def _few(self, x: Tensor) -> Tensor:
        scales = self._codes.scales[:, 0].to(x.dtype)
        product: Tensor = torch.ops.aten._weight_int8pack_mm(x.contiguous(), self._codes.codes, scales)
        return product


class TorchInt4Linear(_ExpandedForMany):
    """Four bits by torch's weight-only kernel, for bfloat16 rows; outputs are a multiple of 64, inputs of the group."""

    def __init__(self, codes: Codes, bias: Tensor | None) -> None:
        super().__init__(codes, bias)
        assert codes.mins is not None  # noqa: S101 - four bits have them
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes.codes.int(), 1)
        zeros = codes.mins.float() + 8 * codes.scales.float()  # the kernel's codes are from -8 to 7
        lines = torch.stack((codes.scales.float(), zeros), 2)  # (outputs, groups, 2)
        self._lines = lines.transpose(0, 1).contiguous().bfloat16()

    def _few(self, x: Tensor) -> Tensor:
        product: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(
            x.contiguous(), self._packed, self._codes.group, self._lines
        )
        return product
