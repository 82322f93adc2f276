"""Epsilon and eta: tokens below a probability go, the second with a bound that falls with the entropy.

Source: Hewitt, Manning and Liang 2022, "Truncation Sampling as Language Model Desmoothing".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from storyteller.engine.sampling.temperature import entropy

if TYPE_CHECKING:
    from torch import Tensor


def epsilon_cutoff(logits: Tensor, epsilon: float) -> Tensor:
    """Logits (n,) with those of probability below `epsilon` at -inf; 0 changes nothing, the largest always stays."""
    if epsilon == 0.0:
        return logits
    return _cut_below(logits, logits.new_tensor(math.log(epsilon)))


def eta_cutoff(logits: Tensor, epsilon: float) -> Tensor:
    """As `epsilon_cutoff`, with the bound `min(epsilon, sqrt(epsilon) * exp(-entropy))`; 0 changes nothing."""
    if epsilon == 0.0:
        return logits
    return _cut_below(logits, (math.log(epsilon) / 2 - entropy(logits)).clamp(max=math.log(epsilon)))


def _cut_below(logits: Tensor, log_bound: Tensor) -> Tensor:
    floor = (logits.logsumexp(0) + log_bound).clamp(max=logits.amax())
    return logits.masked_fill(logits < floor, -math.inf)
