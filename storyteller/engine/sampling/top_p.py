"""Top-p, or nucleus: the fewest most likely tokens that together have at least probability p."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

# A nucleus of a language model is nearly always smaller. Sorting 50,257 logits on a CPU takes 3.3 ms,
# finding the 1,024 largest 0.1 ms.
_WIDE: Final = 1024


def top_p(logits: Tensor, p: float) -> Tensor:
    """Logits (n,) with all outside the nucleus at -inf; 1 changes nothing, 0 leaves the most likely token.

    A token stays while the more likely ones have less than `p` between them; ties with the last one stay.
    Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration".
    """
    if p >= 1.0:
        return logits
    return logits.masked_fill(logits < top_p_floor(logits, p), -math.inf)


def top_p_floor(logits: Tensor, p: float) -> Tensor:
    """The smallest of `logits` (n,) inside the nucleus, a scalar."""
    normaliser = logits.logsumexp(0)
    floor, settled = _floor_among(logits.topk(min(_WIDE, len(logits))).values, normaliser, p)
    if not settled and len(logits) > _WIDE:
        floor, _ = _floor_among(logits.sort(descending=True).values, normaliser, p)
    return floor


def _floor_among(largest_first: Tensor, normaliser: Tensor, p: float) -> tuple[Tensor, bool]:
    """The floor as far as these logits tell, and whether the nucleus ends among them."""
    probabilities = (largest_first - normaliser).double().exp()
    mass_above = probabilities.cumsum(0) - probabilities
    inside = int((mass_above < p).sum())
    return largest_first[max(inside, 1) - 1], inside < len(largest_first)
