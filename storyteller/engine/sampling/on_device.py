"""The draw where the logits are: a token without a word to the processor, for settings that need no history.

The same tokens as `pipeline` and `draw` choose for the same chance; no operator here makes the host wait, so that all
of it can be part of a captured graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import torch

from storyteller.engine.sampling.temperature import temperature
from storyteller.engine.settings import SamplerSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_MOST: Final = 1024  # candidates
_LOWEST: Final = -1e4  # as `take`
_PLAIN: Final = SamplerSettings(loop_guard=False)


def needs_no_history(settings: SamplerSettings) -> bool:
    """Whether the next token depends on logits and one chance alone, by steps that are here."""
    rest = msgspec.structs.replace(settings, temperature=1.0, top_k=0, banned_tokens=(), logit_bias={})
    return rest == _PLAIN and (settings.temperature == 0.0 or 1 <= settings.top_k <= _MOST)


def scores_added(settings: SamplerSettings, unused: Sequence[int], vocab_size: int) -> Tensor:
    """(2, vocab) float32, what is added to logits: -inf for what stands for nothing, then biases and -inf for the banned."""
    added = torch.zeros(2, vocab_size)
    added[0, torch.tensor(unused, dtype=torch.int64)] = -torch.inf
    for token, bias in settings.logit_bias.items():
        added[1, token] += bias
    added[1, torch.tensor(settings.banned_tokens, dtype=torch.int64)] = -torch.inf
    return added


def draw_on_device(logits: Tensor, added: Tensor, chance: Tensor, settings: SamplerSettings) -> Tensor:
    """A token after `logits` (vocab,) and its log-probability under them: (2,) float64, on their device.

    `added` is `scores_added`'s, `chance` (1,) float64, uniform in [0, 1).
    """
    logits = logits + added[0]
    scores = logits + added[1]
    if settings.temperature == 0.0:
        token = scores.argmax()[None]
    else:
        kept, ids = scores.topk(min(settings.top_k, len(scores)), sorted=False)
        order = ids.argsort()
        summed = temperature(kept[order], settings.temperature).double().softmax(0).cumsum(0)
        index = torch.searchsorted(summed, chance * summed[-1:], right=True)
        token = ids[order].gather(0, index.clamp(max=len(summed) - 1))
    logprob = logits.gather(0, token) - logits.logsumexp(0, keepdim=True)
    return torch.cat((token.double(), logprob.double().clamp(min=_LOWEST)))
