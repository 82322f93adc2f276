"""Penalties on tokens that were there already, by count or by mere presence."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor


def repetition_penalty(
    logits: Tensor, history: Sequence[int], penalty: float, *, reach: int = 0, exempt: Collection[int] = ()
) -> Tensor:
    """Logits (vocab,) with those of the last `reach` tokens of `history` divided by `penalty`, negative ones multiplied.

    `reach` 0 is all of it; tokens in `exempt` are left alone; 1 changes nothing.
    Source: Keskar et al. 2019, "CTRL", made sign-aware.
    """
    if penalty == 1.0:
        return logits
    seen = recent(history, reach, exempt)
    if not seen:
        return logits
    ids = torch.tensor(list(set(seen)), device=logits.device)
    scores = logits[ids]
    return logits.scatter(0, ids, torch.where(scores < 0, scores * penalty, scores / penalty))


def frequency_presence_penalty(
    logits: Tensor,
    history: Sequence[int],
    frequency: float,
    presence: float,
    *,
    reach: int = 0,
    exempt: Collection[int] = (),
) -> Tensor:
    """Logits (vocab,) less `frequency` times a token's count in the history's last `reach`, less `presence` if it is there.

    `reach` 0 is all of it; tokens in `exempt` are left alone; 0 and 0 change nothing.
    Source: the OpenAI API.
    """
    if frequency == 0.0 and presence == 0.0:
        return logits
    seen = recent(history, reach, exempt)
    if not seen:
        return logits
    counts = Counter(seen)
    ids = torch.tensor(list(counts), device=logits.device)
    penalties = [-(frequency * count + presence) for count in counts.values()]
    return logits.index_add(0, ids, logits.new_tensor(penalties))


def recent(history: Sequence[int], reach: int, exempt: Collection[int]) -> list[int]:
    """The last `reach` tokens of `history`, all of them if that is 0, without those in `exempt`."""
    last = history[-reach:] if reach else history
    return [token for token in last if token not in exempt] if exempt else list(last)
