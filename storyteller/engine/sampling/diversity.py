"""Takes of one request kept apart: what an earlier take chose at this step is less likely for the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def diversity_penalty(logits: Tensor, taken: Sequence[int], strength: float) -> Tensor:
    """Logits (vocab,) less `strength` for every time a token stands in `taken`; 0 changes nothing.

    Source: Vijayakumar et al. 2018, "Diverse Beam Search", the Hamming diversity.
    """
    if strength == 0.0 or not taken:
        return logits
    ids = torch.tensor(list(taken), device=logits.device)
    return logits.index_add(0, ids, logits.new_full((len(ids),), -strength))
