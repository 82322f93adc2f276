"""Min-p and top-a: tokens stay by their probability beside the most likely one's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def min_p(logits: Tensor, p: float) -> Tensor:
    """Logits (n,) with those below `p` times the largest probability at -inf; 0 changes nothing.

    Source: Nguyen et al. 2025, "Turning Up the Heat: Min-p Sampling".
    """
    if p == 0.0:
        return logits
    return logits.masked_fill(logits < min_p_floor(logits, p), -math.inf)


def min_p_floor(logits: Tensor, p: float) -> Tensor:
    """The least logit that stays, a scalar."""
    return logits.amax() + math.log(p)


def top_a(logits: Tensor, a: float) -> Tensor:
    """Logits (n,) with those below `a` times the square of the largest probability at -inf; 0 changes nothing.

    Source: BlinkDL's top-a, as in KoboldAI.
    """
    if a == 0.0:
        return logits
    largest = logits.amax()
    floor = 2 * largest - logits.logsumexp(0) + math.log(a)
    return logits.masked_fill(logits < floor.clamp(max=largest), -math.inf)
