"""Exclude top choices: now and then, of several good tokens only the least likely stays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def xtc(
    logits: Tensor,
    probability: float,
    threshold: float,
    *,
    chance: float,
    protected: Tensor | None = None,
) -> Tensor:
    """Logits (n,), with the top choices at -inf when `chance`, uniform in [0, 1), is below `probability`.

    The top choices are the tokens of at least probability `threshold`, but for the least likely of them.
    Nothing is removed where that would remove a token marked in `protected` (n,) bool: without it, the
    end of a line or of a document would rarely be reached.
    Source: p-e-w's XTC, text-generation-webui #6335.
    """
    if chance >= probability:
        return logits
    remove = (logits.softmax(0) >= threshold) & torch.isfinite(logits)
    if int(remove.sum()) < 2:
        return logits
    remove[logits.masked_fill(~remove, math.inf).argmin()] = False
    if protected is not None and bool((remove & protected).any()):
        return logits
    return logits.masked_fill(remove, -math.inf)
