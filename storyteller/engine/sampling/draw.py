"""The draw itself: from logits and one uniform number to a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def draw(logits: Tensor, chance: float) -> int:
    """The index in `logits` (n,) at which the summed probabilities pass `chance`, uniform in [0, 1).

    One number a token: the same chance gives the same token however many impossible ones stand between,
    so that a truncation which removes nothing likely changes nothing. -inf is never drawn.
    """
    summed = logits.double().softmax(0).cumsum(0)
    index = int(torch.searchsorted(summed, chance * float(summed[-1]), right=True))
    return index if index < len(logits) else greedy(logits)


def greedy(logits: Tensor) -> int:
    """The index of the largest of `logits` (n,)."""
    return int(logits.argmax())


def uniform(generator: torch.Generator) -> float:
    """A number in [0, 1) from a CPU generator: 53 bits, the same on every device."""
    return float(torch.rand((), generator=generator, dtype=torch.float64))
