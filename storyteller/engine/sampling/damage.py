"""What a model never says when all is well with it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from storyteller.errors import EngineError

if TYPE_CHECKING:
    from torch import Tensor


def normaliser(logits: Tensor) -> Tensor:
    """The log of the sum of exponentials of `logits` (..., vocab): (...).

    Raises:
        EngineError: they hold NaN or infinity, or a row nothing finite.
    """
    total = logits.logsumexp(-1)
    if not bool(torch.isfinite(total).all()):
        raise _damaged()
    return total


def sound(log_total: float) -> float:
    """`log_total` of a row, as `normaliser` has it.

    Raises:
        EngineError: it is none.
    """
    if not math.isfinite(log_total):
        raise _damaged()
    return log_total


def _damaged() -> EngineError:
    return EngineError(
        "The model's output is not a number; its weights or an adapter may be damaged, so try another."
    )
