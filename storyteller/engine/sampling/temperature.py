"""Temperature, fixed or steered by how sure the model is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Below this the runner-up's chance is nil in float32 anyway, and the quotients would overflow.
SMALLEST: Final = 1e-4


def temperature(logits: Tensor, value: float) -> Tensor:
    """Logits (n,) divided by `value`, shifted so that the largest is 0; 1 changes nothing, 0 is almost greedy."""
    if value == 1.0:
        return logits
    return (logits - logits.amax()) / max(value, SMALLEST)


def dynamic_temperature(logits: Tensor, value: float, half_range: float, exponent: float = 1.0) -> Tensor:
    """Temperature between `value - half_range` (a sure model) and `value + half_range` (an unsure one).

    The measure is the entropy of `logits` (n,), over the largest it could be with as many finite logits,
    raised to `exponent`. Source: kalomaze's dynamic temperature, as in llama.cpp.
    """
    if half_range == 0.0:
        return temperature(logits, value)
    candidates = torch.isfinite(logits).sum()
    if candidates <= 1:
        return logits
    sureness = (entropy(logits) / candidates.log()).clamp(0.0, 1.0)
    low, high = max(0.0, value - half_range), value + half_range
    steered = low + (high - low) * sureness**exponent
    return (logits - logits.amax()) / steered.clamp(min=SMALLEST)


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats, a scalar, of the distribution of `logits` (n,); -inf logits count for nothing."""
    logprobs = torch.log_softmax(logits, dim=0)
    return -(logprobs.exp() * logprobs).nansum()
