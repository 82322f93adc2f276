"""A draw without the host: from logits and one uniform number to a token, by operators that never wait for the device.

The same as `TakeSampler.sample` where the next token depends on nothing else; what this cannot settle (ties at the
top-k floor, nothing allowed, numbers out of range) it leaves to the host by drawing `UNDECIDED`. Every operator here
can be captured in a CUDA graph.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.sampling.bias import ban_tokens, logit_bias
from storyteller.engine.sampling.min_p import min_p, min_p_floor
from storyteller.engine.sampling.temperature import temperature

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from torch import Tensor

    from storyteller.engine.settings import SamplerSettings

UNDECIDED: Final = -1
LOWEST: Final = -1e4  # a log-probability that JSON can carry, for a token forced against the model
_NEUTRAL: Final = {
    "dynamic_temperature": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "tail_free": 1.0,
    "top_a": 0.0,
    "mirostat_tau": 0.0,
    "xtc_probability": 0.0,
    "repetition_penalty": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "no_repeat_ngram": 0,
    "dry_multiplier": 0.0,
    "diversity": 0.0,
    "guidance_scale": 1.0,
    "adapter_contrast": 0.0,
}


def can_draw(settings: SamplerSettings) -> bool:
    """Whether the next token depends on the logits and chance alone, as long as nothing was gone back from."""
    neutral = all(getattr(settings, name) == value for name, value in _NEUTRAL.items())
    return neutral and settings.method in {"sample", "greedy"}


class DeviceDraw:
    """The draw of one kind of settings for one vocabulary.

    Attributes:
        settings: what it was made for.
        key: equal for draws that draw the same.
        is_chance: whether it uses up a uniform number.
    """

    def __init__(self, settings: SamplerSettings, unused: Sequence[int], device: torch.device) -> None:
        """`settings` must pass `can_draw`; `unused` are ids that stand for no token."""
        bias = sorted(settings.logit_bias.items())
        self.settings = settings
        self._unused = torch.tensor(unused, dtype=torch.int64, device=device)
        self._banned = torch.tensor(sorted(set(settings.banned_tokens)), dtype=torch.int64, device=device)
        self._bias_ids = torch.tensor([token for token, _ in bias], dtype=torch.int64, device=device)
        self._bias = torch.tensor([value for _, value in bias], dtype=torch.float32, device=device)
        self.is_chance = settings.method == "sample" and settings.temperature != 0.0
        self.key: Hashable = (
            settings.method, settings.temperature, settings.top_k, settings.top_p, settings.min_p,
            tuple(bias), tuple(sorted(set(settings.banned_tokens))), tuple(unused),
        )  # fmt: skip

    def __call__(self, logits: Tensor, chance: Tensor) -> Tensor:
        """(2,) float64: the token after `logits` (vocab,) float32, and its log-probability under the model alone.

        `chance` is a float64 scalar in [0, 1), where `is_chance`.
        """
        logits = ban_tokens(logits, self._unused)
        log_total = logits.logsumexp(0)
        scores = ban_tokens(logit_bias(logits, self._bias_ids, self._bias), self._banned)
        if self.is_chance:
            token, settled = self._drawn(scores, chance)
        else:
            token = scores.argmax().view(1)
            settled = torch.isfinite(scores.gather(0, token))
        settled = settled & torch.isfinite(log_total)
        logprob = (logits.gather(0, token) - log_total).clamp(min=LOWEST)
        return torch.cat((torch.where(settled, token, UNDECIDED).double(), logprob.double()))

    def offsets(self, vocab: int) -> tuple[Tensor, Tensor]:
        """(vocab,) float32 that makes scores of logits when added, -inf for what is banned, and (vocab,) bool: ids in use."""
        device = self._banned.device
        biased = logit_bias(torch.zeros(vocab, device=device), self._bias_ids, self._bias)
        used = torch.ones(vocab, dtype=torch.bool, device=device).index_fill(0, self._unused, value=False)
        return ban_tokens(biased, self._banned), used

    def _drawn(self, scores: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
        """The token (1,) and whether it is the one that the host would draw (1,)."""
        settings = self.settings
        most = scores.amax()
        settled = torch.isfinite(most).view(1)
        ids = None
        if settings.top_k:
            largest = scores.topk(min(settings.top_k, len(scores)))
            floor = largest.values[-1].clamp(min=torch.finfo(scores.dtype).min)
            settled = settled & ((scores >= floor).sum() <= len(largest.values))
            ids, order = largest.indices.sort()
            scores = largest.values.gather(0, order)
        scores = temperature(scores, settings.temperature)
        if settings.top_p < 1.0:
            scores = scores.masked_fill(scores < _nucleus_floor(scores, settings.top_p), -math.inf)
        elif settings.min_p > 0.0 and ids is None:
            scores = scores.masked_fill(scores < min_p_floor(scores, settings.min_p), -math.inf)
        scores = min_p(scores, settings.min_p)
        summed = scores.double().softmax(0).cumsum(0)
        index = torch.searchsorted(summed, (chance * summed[-1]).view(1), right=True)
        index = torch.where(index < len(scores), index, scores.argmax())
        return (index if ids is None else ids.gather(0, index)), settled


def _nucleus_floor(scores: Tensor, p: float) -> Tensor:
    """`top_p.top_p_floor`, but from all of `scores` (n,) whatever they are: no number of them is looked at."""
    largest_first = scores.sort(descending=True).values
    probabilities = (largest_first - scores.logsumexp(0)).double().exp()
    mass_above = probabilities.cumsum(0) - probabilities
    inside = (mass_above < p).sum().clamp(min=1)
    return largest_first.gather(0, (inside - 1).view(1))
