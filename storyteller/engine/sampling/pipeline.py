"""The order in which the steps run, and why it is this order.

1. The constraint of a healed word: all else is about what is possible. Then guidance and adapter
   contrast: a second opinion is about the model's own distribution, otherwise untouched.
2. Bias, then repetition, frequency, presence and diversity penalties, then DRY: they know tokens by
   identity, so they see the whole vocabulary, and a penalty must be able to push a token out of the cuts.
3. Bans: banned tokens, no-repeat n-grams, tokens a take went back from. After everything that adds, so
   that nothing lifts a ban. Tokens of a healed word that say only what was typed are left out of steps 2
   and 3: the writer sees them once, so nothing is repeated, and the page holds them already.
4. Top-k: what follows works on k candidates instead of 50,257. Ahead of temperature, which never changes
   what the k largest are.
5. Temperature, then top-p, min-p, typical, epsilon, eta: the order of transformers, so that numbers
   from its tutorials mean the same here. Tail-free and top-a, which it lacks, after them.
6. XTC, when only credible tokens are left: it picks the least likely of the good ones.
7. Mirostat's bound, then the draw.

A step at its neutral setting returns its argument.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from storyteller.engine.sampling.bias import ban_tokens, logit_bias
from storyteller.engine.sampling.cutoffs import epsilon_cutoff, eta_cutoff
from storyteller.engine.sampling.diversity import diversity_penalty
from storyteller.engine.sampling.dry import subtract
from storyteller.engine.sampling.history import History
from storyteller.engine.sampling.min_p import min_p, min_p_floor, top_a
from storyteller.engine.sampling.mirostat import mirostat
from storyteller.engine.sampling.penalties import frequency_presence_penalty, recent, repetition_penalty
from storyteller.engine.sampling.places import Places
from storyteller.engine.sampling.tail_free import tail_free
from storyteller.engine.sampling.temperature import dynamic_temperature
from storyteller.engine.sampling.top_k import top_k_floor
from storyteller.engine.sampling.top_p import top_p, top_p_floor
from storyteller.engine.sampling.typical import typical
from storyteller.engine.sampling.xtc import xtc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from storyteller.engine.sampling.peaks import Peaks
    from storyteller.engine.sampling.rules import Rules
    from storyteller.engine.settings import SamplerSettings


def adjusted(
    scores: Tensor,
    rules: Rules,
    history: History,
    *,
    taken: Sequence[int] = (),
    left_behind: Iterable[int] = (),
    ids: Tensor | None = None,
) -> Tensor:
    """Scores (vocab,) after steps 2 and 3; everything may be forbidden, and then all are -inf.

    `taken` are the tokens earlier takes of the request chose at this step, `left_behind` those this take
    went back from here. With `ids` (m,), ascending, on the CPU, the scores are (m,), of those alone.
    """
    settings = rules.settings
    places = Places(ids)
    bias_ids, bias = places.of_tensor(rules.bias_ids, rules.bias)
    scores = logit_bias(scores, bias_ids, bias)
    if (settings.repetition_penalty, settings.frequency_penalty, settings.presence_penalty) != (
        1.0,
        0.0,
        0.0,
    ):
        seen = places.of(recent(history.ids, settings.penalty_range, rules.exempt))
        scores = repetition_penalty(scores, seen, settings.repetition_penalty)
        scores = frequency_presence_penalty(
            scores, seen, settings.frequency_penalty, settings.presence_penalty
        )
    scores = diversity_penalty(scores, places.of(taken), settings.diversity)
    scores = subtract(scores, places.of_keys(history.dry_penalties()))
    scores = ban_tokens(scores, places.of_tensor(rules.banned, rules.banned)[0])
    forbidden = places.of({*history.repeating_ngram(), *left_behind})
    if not forbidden:
        return scores
    return ban_tokens(scores, torch.tensor(sorted(forbidden), dtype=torch.int64, device=scores.device))


def candidates(scores: Tensor, settings: SamplerSettings) -> tuple[Tensor, Tensor]:
    """Step 4, temperature and top-p: (m,) ids, ascending, and their tempered scores, both on the CPU.

    Without top-k, top-p or min-p cut the whole vocabulary first, by a floor, so that the later steps work
    on few candidates too. m is 0 where all of `scores` (vocab,) are -inf.
    """
    if settings.top_k:
        ids = _at_least(scores, top_k_floor(scores, settings.top_k))
        kept = scores[ids].cpu()
        return ids.cpu(), top_p(_tempered(kept, settings), settings.top_p) if len(ids) else kept
    scores = _tempered(scores, settings)
    if settings.top_p < 1.0:
        floor = top_p_floor(scores, settings.top_p)
    elif settings.min_p > 0.0:
        floor = min_p_floor(scores, settings.min_p)
    else:
        floor = scores.new_tensor(-math.inf)
    ids = _at_least(scores, floor)
    return ids.cpu(), scores[ids].cpu()


def candidates_among(peaks: Peaks, scores: Tensor, settings: SamplerSettings) -> tuple[Tensor, Tensor] | None:
    """The same from `peaks`, whose `scores` (m,) are as `adjusted` left them, none of them or others lifted.

    None where top-k's candidates may be others: those have less than the peaks' floor.
    """
    if len(peaks.ids) < settings.top_k:
        return None
    floor = float(top_k_floor(scores, settings.top_k))
    if floor < peaks.floor or floor == -math.inf:  # at -inf all is forbidden: the whole vocabulary decides
        return None
    inside = scores >= floor
    return peaks.ids[inside], top_p(_tempered(scores[inside], settings), settings.top_p)


def cut(ids: Tensor, scores: Tensor, rules: Rules, *, xtc_chance: float, bound: float) -> Tensor:
    """Steps 5 to 7 after top-p: scores (m,) of the candidates `ids` with those that go at -inf.

    `xtc_chance` is uniform in [0, 1), `bound` mirostat's in nats, infinite where it is off.
    """
    settings = rules.settings
    scores = min_p(scores, settings.min_p)
    scores = typical(scores, settings.typical_p)
    scores = epsilon_cutoff(scores, settings.epsilon_cutoff)
    scores = eta_cutoff(scores, settings.eta_cutoff)
    scores = tail_free(scores, settings.tail_free)
    scores = top_a(scores, settings.top_a)
    if xtc_chance < settings.xtc_probability:
        protected = torch.isin(ids, rules.protected)
        scores = xtc(
            scores, settings.xtc_probability, settings.xtc_threshold, chance=xtc_chance, protected=protected
        )
    return scores if bound == math.inf else mirostat(scores, bound)


def row_adjustment(rules: Rules) -> Callable[[Tensor, Sequence[Sequence[int]]], Tensor]:
    """Steps 2 and 3 for a search: from (rows, vocab) and every row's history to the adjusted (rows, vocab)."""

    def adjust(rows: Tensor, histories: Sequence[Sequence[int]]) -> Tensor:
        return torch.stack(
            [adjusted(row, rules, History(rules, ids)) for row, ids in zip(rows, histories, strict=True)]
        )

    return adjust


def _tempered(scores: Tensor, settings: SamplerSettings) -> Tensor:
    return dynamic_temperature(
        scores, settings.temperature, settings.dynamic_temperature, settings.dynamic_exponent
    )


def _at_least(scores: Tensor, floor: Tensor) -> Tensor:
    """The ids (m,) of finite `scores` (vocab,) not below `floor`."""
    return (scores >= floor.clamp(min=torch.finfo(scores.dtype).min)).nonzero().squeeze(1)
