"""DRY, "don't repeat yourself": a token that would lengthen a repetition pays by the repetition's length.

Source: p-e-w's DRY, text-generation-webui #5677.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.sampling.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from torch import Tensor

_LARGEST: Final = 1e6  # no logit stands against it, and float32 still holds the difference


def dry(
    logits: Tensor,
    history: Sequence[int],
    multiplier: float,
    *,
    base: float = 1.75,
    allowed_length: int = 2,
    reach: int = 0,
    breakers: Collection[int] = (),
    exempt: Collection[int] = (),
) -> Tensor:
    """Logits (vocab,) less `multiplier * base ** (length - allowed_length)` where a token would go on repeating.

    `length` is that of the longest earlier stretch, within the last `reach` tokens (0: all), that equals
    the history's end and was followed by that token; below `allowed_length` nothing is taken. A token in
    `breakers` ends a stretch and is never penalised, nor is one in `exempt`. Multiplier 0 changes nothing.
    """
    if multiplier == 0.0:
        return logits
    penalties = dry_penalties(
        Repeats(history, breakers),
        multiplier,
        base=base,
        allowed_length=allowed_length,
        reach=reach,
        exempt={*breakers, *exempt},
    )
    return subtract(logits, penalties)


def dry_penalties(
    repeats: Repeats,
    multiplier: float,
    *,
    base: float,
    allowed_length: int,
    reach: int,
    exempt: Collection[int],
) -> dict[int, float]:
    """What each token pays; `repeats` knows the breakers, `exempt` holds them too."""
    longest: dict[int, int] = {}
    for token, length in repeats.followers(reach):
        if length >= allowed_length and length > longest.get(token, 0) and token not in exempt:
            longest[token] = length
    return {token: _penalty(multiplier, base, length - allowed_length) for token, length in longest.items()}


def subtract(logits: Tensor, penalties: Mapping[int, float]) -> Tensor:
    """Logits (vocab,) less `penalties` by token."""
    if not penalties:
        return logits
    ids = torch.tensor(list(penalties), device=logits.device)
    amounts = torch.tensor(list(penalties.values()), device=logits.device, dtype=logits.dtype)
    return logits.index_add(0, ids, amounts, alpha=-1)


def _penalty(multiplier: float, base: float, excess: int) -> float:
    exponent = excess * math.log(base) + math.log(multiplier)
    return math.exp(min(exponent, math.log(_LARGEST)))
