"""`DeviceDraw` by kernels of our own, for the settings that they serve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
import triton

from storyteller.engine.network.cuda import draw_kernels
from storyteller.engine.sampling.on_device import DeviceDraw
from storyteller.engine.sampling.temperature import SMALLEST

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.step import Draw

_BLOCK: Final = 1024
_SLOTS: Final = 64  # of a block: the most that top-k may be, and ties


class KernelDraw:
    """The same draw, which also makes its token the next one that is read."""

    def __init__(self, draw: DeviceDraw, vocab: int) -> None:
        """Use `kernel_draw`, which knows which draws have kernels."""
        self._settings, self._is_chance = draw.settings, draw.is_chance
        self._vocab = vocab
        self._offsets, self._used = draw.offsets(vocab)
        self._used = self._used.to(torch.int8)
        self._blocks = triton.cdiv(vocab, _BLOCK)
        device = self._offsets.device
        self._ids = torch.zeros(self._blocks * _SLOTS, dtype=torch.int32, device=device)
        self._scores = torch.zeros(self._blocks * _SLOTS, device=device)
        self._parts = torch.zeros(self._blocks, 3, device=device)

    def enqueue(self, logits: Tensor, chance: Tensor, drawn: Tensor, command: Tensor) -> None:
        """Draw by `chance` after `logits` (vocab,) into `drawn` (2,) and the first row of `command`."""
        settings = self._settings
        k = settings.top_k if self._is_chance else 1
        draw_kernels.shortlist[(self._blocks,)](
            logits, self._offsets, self._used, self._ids, self._scores, self._parts, self._vocab,
            BLOCK=_BLOCK, SLOTS=_SLOTS, K=k, num_warps=4,
        )  # fmt: skip
        draw_kernels.decide[(1,)](
            logits, self._ids, self._scores, self._parts, chance, drawn, command,
            float(max(settings.temperature, SMALLEST)), float(settings.top_p),
            math.log(settings.min_p) if settings.min_p else 0.0, self._blocks,
            BLOCKS=triton.next_power_of_2(self._blocks), SLOTS=_SLOTS, K=k, GREEDY=not self._is_chance,
            TEMPERED=settings.temperature != 1.0, TOP_P=settings.top_p < 1.0, MIN_P=settings.min_p > 0.0,
            num_warps=8,
        )  # fmt: skip


def kernel_draw(draw: Draw, vocab: int) -> KernelDraw | None:
    """`draw` by kernels; None where it looks at more tokens than they do."""
    if not isinstance(draw, DeviceDraw):
        return None
    narrow = 0 < draw.settings.top_k <= _SLOTS or not draw.is_chance
    return KernelDraw(draw, vocab) if narrow and vocab >= _SLOTS else None
