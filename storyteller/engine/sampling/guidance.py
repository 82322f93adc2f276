"""A second opinion: away from what a negative prompt would say, or from the model without its adapter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Li et al. 2022, section 3.3: without this bound the difference rewards tokens that both think absurd.
_PLAUSIBLE: Final = math.log(0.1)


def guidance(logits: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Log-probabilities (vocab,): `negative`'s plus `scale` times the way from there to `logits`'; 1 changes nothing.

    Both are logits (vocab,), `negative` those after the negative prompt. Tokens at -inf stay there.
    Source: Sanchez et al. 2023, "Stay on Topic with Classifier-Free Guidance".
    """
    if scale == 1.0:
        return logits
    wanted, unwanted = torch.log_softmax(logits, dim=0), torch.log_softmax(negative, dim=0)
    guided = scale * (wanted - unwanted) + unwanted
    return torch.where(torch.isfinite(wanted) & torch.isfinite(unwanted), guided, wanted)


def adapter_contrast(logits: Tensor, base: Tensor, strength: float) -> Tensor:
    """Log-probabilities (vocab,) of the adapter plus `strength` times what they exceed the base's by; 0 changes nothing.

    `logits` are the model's with its adapter, `base` without, (vocab,) each. Tokens less than a tenth as
    likely as the adapter's favourite go to -inf.
    Source: Li et al. 2022, "Contrastive Decoding"; Liu et al. 2021, "DExperts".
    """
    if strength == 0.0:
        return logits
    adapted, plain = torch.log_softmax(logits, dim=0), torch.log_softmax(base, dim=0)
    pushed = adapted + strength * (adapted - plain)
    pushed = torch.where(torch.isfinite(plain), pushed, adapted)
    return pushed.masked_fill(adapted < adapted.amax() + _PLAUSIBLE, -math.inf)
