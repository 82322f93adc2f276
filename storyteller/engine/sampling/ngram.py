"""No n-gram twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from storyteller.engine.sampling.bias import ban_tokens
from storyteller.engine.sampling.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def no_repeat_ngram(logits: Tensor, history: Sequence[int], size: int) -> Tensor:
    """Logits (vocab,) with the tokens that would complete an n-gram of `size` seen before at -inf; 0 changes nothing.

    Source: Paulus, Xiong and Socher 2017, "A Deep Reinforced Model for Abstractive Summarization".
    """
    if size == 0:
        return logits
    banned = set(history) if size == 1 else completing_tokens(Repeats(history), size)
    return ban_tokens(logits, torch.tensor(sorted(banned), dtype=torch.int64, device=logits.device))


def completing_tokens(repeats: Repeats, size: int) -> set[int]:
    """The tokens that would complete an n-gram of `size`, at least 2, seen before."""
    return {token for token, length in repeats.followers() if length >= size - 1}
