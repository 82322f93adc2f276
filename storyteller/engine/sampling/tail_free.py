"""Tail-free sampling: the sorted probabilities are cut where their curve has become flat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def tail_free(logits: Tensor, z: float) -> Tensor:
    """Logits (n,) with the flat tail at -inf; 1 changes nothing, the most likely token always stays.

    The cut falls where the curve's absolute second differences, normalised, add up to more than `z`.
    Source: Bricken 2019, "Tail Free Sampling".
    """
    possible = int(torch.isfinite(logits).sum())
    if z >= 1.0 or possible < 3:
        return logits
    ordered, order = logits.sort(descending=True)
    curvature = ordered[:possible].softmax(0).diff(n=2).abs()  # (possible - 2,)
    total = curvature.sum()
    if total == 0:  # a straight line has no tail
        return logits
    remove_in_order = torch.ones_like(order, dtype=torch.bool)
    remove_in_order[0] = False
    remove_in_order[1 : possible - 1] = (curvature / total).cumsum(0) > z
    return logits.masked_fill(torch.empty_like(remove_in_order).scatter(0, order, remove_in_order), -math.inf)
