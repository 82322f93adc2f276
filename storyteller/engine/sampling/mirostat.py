"""Mirostat 2: the bound on surprise follows what was drawn, so that the text's surprise stays near a target.

Source: Basu et al. 2021, "Mirostat: A Neural Text Decoding Algorithm that Directly Controls Perplexity",
second algorithm, in nats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def mirostat(logits: Tensor, bound: float) -> Tensor:
    """Logits (n,) with tokens of more surprise than `bound` nats at -inf; the most likely always stays."""
    floor = (logits.logsumexp(0) - bound).clamp(max=logits.amax())
    return logits.masked_fill(logits < floor, -math.inf)


def first_bound(tau: float) -> float:
    """The bound a take begins with."""
    return 2.0 * tau


def next_bound(bound: float, surprise: float, *, tau: float, eta: float) -> float:
    """The bound after a token of `surprise` nats, among the tokens that had stayed, was drawn."""
    return bound - eta * (surprise - tau)
