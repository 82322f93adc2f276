"""Tokens favoured, forbidden or alone allowed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def logit_bias(logits: Tensor, ids: Tensor, bias: Tensor) -> Tensor:
    """Logits (vocab,) with `bias` (m,) added at `ids` (m,) int64."""
    if len(ids) == 0:
        return logits
    return logits.index_add(0, ids, bias)


def ban_tokens(logits: Tensor, ids: Tensor) -> Tensor:
    """Logits (vocab,) with `ids` (m,) int64 at -inf."""
    if len(ids) == 0:
        return logits
    return logits.index_fill(0, ids, -math.inf)


def leave_alone(scores: Tensor, before: Tensor, ids: Tensor) -> Tensor:
    """Scores (vocab,) with those of `ids` (m,) int64 as they were in `before` (vocab,)."""
    return scores.index_copy(0, ids, before[ids])


def allow_only(logits: Tensor, allowed: Tensor) -> Tensor:
    """Logits (vocab,) with all at -inf where `allowed` (vocab,) bool is false."""
    return logits.masked_fill(~allowed, -math.inf)
