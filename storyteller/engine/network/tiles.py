"""Codes as products read them, and as they lie on disk: tiles of 16 outputs, so that memory is read in order.

The layout is that of `native/weights.hpp`; inputs are padded to 32, outputs to 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.quantise import Codes

if TYPE_CHECKING:
    from torch import Tensor

LANES: Final = 16  # outputs of a tile
SPAN: Final = 32  # inputs are padded to a multiple


@dataclass(frozen=True, eq=False)
class Tiles:
    """A weight (outputs, inputs) in few bits.

    Attributes:
        data: uint8. Eight bits: [tile][inputs / 4][output][4], code + 128. Four bits: [tile][inputs / 8][output][4],
            inputs 0-3 of the eight in the low halves, 4-7 in the high ones.
        scales: eight bits: (outputs padded,) float32. Four bits: [tile][group][scale, minimum][output], float16.
        group: inputs to a scale.
    """

    data: Tensor
    scales: Tensor
    bits: int
    group: int
    outputs: int
    inputs: int

    def check(self) -> None:
        """See that the tensors are as large as shape and bits say, and that the scales are numbers.

        Raises:
            ValueError: they are not.
        """
        count, width = -(-self.outputs // LANES), -(-self.inputs // SPAN) * SPAN
        lines = 1 if self.bits == 8 else 2 * -(-width // self.group)
        scales = torch.float32 if self.bits == 8 else torch.float16
        if (
            self.data.dtype != torch.uint8
            or self.scales.dtype != scales
            or self.data.numel() != count * LANES * width * self.bits // 8
            or self.scales.numel() != count * LANES * lines
            or not bool(self.scales.isfinite().all())  # 20 ms for all of gpt2-large
        ):
            raise ValueError(f"no tiles of {self.outputs} x {self.inputs} in {self.bits} bits")

    @property
    def bytes(self) -> int:
        """What one pass over it reads."""
        return self.data.nbytes + self.scales.nbytes


def tile(codes: Codes) -> Tiles:
    """`codes`, laid out."""
    outputs, inputs = codes.codes.shape
    rows, columns = -outputs % LANES, -inputs % SPAN
    stored = codes.codes.view(torch.uint8) ^ 0x80 if codes.bits == 8 else codes.codes
    padded = torch.nn.functional.pad(stored, (0, columns, 0, rows))
    tiles, width = (outputs + rows) // LANES, inputs + columns
    if codes.bits == 8:
        data = padded.view(tiles, LANES, width // 4, 4).permute(0, 2, 1, 3)
        scales = torch.nn.functional.pad(codes.scales[:, 0], (0, rows))
        return Tiles(data.contiguous().flatten(), scales, 8, codes.group, outputs, inputs)
    low, high = padded.view(tiles, LANES, width // 8, 2, 4).permute(3, 0, 2, 1, 4)
    data = (low | high << 4).contiguous().flatten()
    assert codes.mins is not None  # noqa: S101 - four bits have them
    groups = -(-width // codes.group)
    lines = torch.stack((codes.scales, codes.mins), 2)  # (outputs, groups, 2)
    lines = torch.nn.functional.pad(lines, (0, 0, 0, groups - lines.shape[1], 0, rows))
    scales = lines.view(tiles, LANES, groups, 2).permute(0, 2, 3, 1).contiguous().flatten()
    return Tiles(data, scales, 4, codes.group, outputs, inputs)


def untile(tiles: Tiles) -> Codes:
    """The codes again."""
    outputs, inputs = tiles.outputs, tiles.inputs
    count, width = -(-outputs // LANES), -(-inputs // SPAN) * SPAN
    if tiles.bits == 8:
        stored = (
            tiles.data.view(count, width // 4, LANES, 4).permute(0, 2, 1, 3).reshape(count * LANES, width)
        )
        codes = (stored ^ 0x80).view(torch.int8)[:outputs, :inputs].contiguous()
        return Codes(codes, tiles.scales[:outputs, None], None, 8, tiles.group)
    both = tiles.data.view(count, width // 8, LANES, 4)
    halves = torch.stack((both & 15, both >> 4), 2)  # (tiles, width / 8, 2, outputs, 4)
    codes = halves.permute(0, 3, 1, 2, 4).reshape(count * LANES, width)[:outputs, :inputs].contiguous()
    groups = -(-inputs // tiles.group)
    lines = tiles.scales.view(count, -1, 2, LANES).permute(2, 0, 3, 1).reshape(2, count * LANES, -1)
    scales, mins = lines[:, :outputs, :groups].contiguous()
    return Codes(codes, scales, mins, 4, tiles.group)
