"""Locally typical sampling: tokens stay whose surprise is close to what the model expects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from storyteller.engine.sampling.temperature import entropy

if TYPE_CHECKING:
    from torch import Tensor


def typical(logits: Tensor, mass: float) -> Tensor:
    """Logits (n,) with all but the most typical tokens, of probability `mass` together, at -inf; 1 changes nothing.

    Source: Meister et al. 2023, "Locally Typical Sampling".
    """
    if mass >= 1.0:
        return logits
    logprobs = torch.log_softmax(logits, dim=0)
    strangeness, order = (-logprobs - entropy(logits)).abs().sort()
    below = (logprobs[order].exp().cumsum(0) < mass).sum()
    limit = strangeness[below.clamp(max=len(logits) - 1)]
    remove_in_order = strangeness > limit
    remove_in_order[0] = False
    return logits.masked_fill(torch.empty_like(remove_in_order).scatter(0, order, remove_in_order), -math.inf)
