"""Top-k: the k most likely tokens stay."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def top_k(logits: Tensor, k: int) -> Tensor:
    """Logits (n,) with all but the `k` largest at -inf; 0 changes nothing. Ties with the k-th stay.

    Source: Fan, Lewis and Dauphin 2018, "Hierarchical Neural Story Generation".
    """
    if k == 0 or k >= len(logits):
        return logits
    return logits.masked_fill(logits < top_k_floor(logits, k), -math.inf)


def top_k_floor(logits: Tensor, k: int) -> Tensor:
    """The `k`-th largest of `logits` (n,), a scalar."""
    return logits.topk(min(k, len(logits))).values[-1]
