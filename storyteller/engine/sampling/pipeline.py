"""The order in which the steps run, and why it is this order.

1. Guidance and adapter contrast: a second opinion is about the model's own distribution, untouched.
2. Bias, then repetition, frequency, presence and diversity penalties, then DRY: they know tokens by
   identity, so they see the whole vocabulary, and a penalty must be able to push a token out of the cuts.
3. Bans: banned tokens, no-repeat n-grams, tokens a take went back from, the constraint of a healed word.
   After everything that adds, so that nothing lifts a ban.
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
from typing import TYPE_CHECKING, Final

import msgspec
import torch
from msgspec import Struct

from storyteller.engine.sampling.bias import ban_tokens, logit_bias
from storyteller.engine.sampling.cutoffs import epsilon_cutoff, eta_cutoff
from storyteller.engine.sampling.diversity import diversity_penalty
from storyteller.engine.sampling.dry import dry_penalties, subtract
from storyteller.engine.sampling.min_p import min_p, min_p_floor, top_a
from storyteller.engine.sampling.mirostat import mirostat
from storyteller.engine.sampling.ngram import completing_tokens
from storyteller.engine.sampling.penalties import frequency_presence_penalty, repetition_penalty
from storyteller.engine.sampling.repeats import Repeats
from storyteller.engine.sampling.tail_free import tail_free
from storyteller.engine.sampling.temperature import dynamic_temperature
from storyteller.engine.sampling.texts import breaker_tokens, exempt_tokens
from storyteller.engine.sampling.top_k import top_k_floor
from storyteller.engine.sampling.top_p import top_p, top_p_floor
from storyteller.engine.sampling.typical import typical
from storyteller.engine.sampling.xtc import xtc
from storyteller.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from torch import Tensor

    from storyteller.engine.decoder import TextTokenizer
    from storyteller.engine.settings import SamplerSettings

_NEWLINE: Final = ("\n",)


class Rules(Struct, frozen=True):
    """Settings whose texts and ids were looked up in one model's vocabulary."""

    settings: SamplerSettings
    eos: int
    bias_ids: Tensor  # (m,) int64
    bias: Tensor  # (m,) float32
    banned: Tensor  # (m,) int64
    exempt: frozenset[int]
    breakers: frozenset[int]
    dry_exempt: frozenset[int]
    protected: Tensor  # (m,) int64 on the CPU: never excluded by XTC


def resolve(settings: SamplerSettings, tokenizer: TextTokenizer, device: torch.device | str = "cpu") -> Rules:
    """`settings` for the vocabulary of `tokenizer`.

    Raises:
        SettingsError: a number is not finite, a token id is not of this vocabulary, or a banned phrase is empty.
    """
    _check(settings, tokenizer.vocab_size)
    bias = sorted(settings.logit_bias.items())
    exempt = exempt_tokens(tokenizer, settings.penalty_exempt)
    may_dry = settings.dry_multiplier > 0.0 or settings.loop_guard
    breakers = breaker_tokens(tokenizer, settings.dry_breakers) if may_dry else frozenset()
    return Rules(
        settings=settings,
        eos=tokenizer.eos,
        bias_ids=torch.tensor([token for token, _ in bias], dtype=torch.int64, device=device),
        bias=torch.tensor([value for _, value in bias], dtype=torch.float32, device=device),
        banned=torch.tensor(sorted(set(settings.banned_tokens)), dtype=torch.int64, device=device),
        exempt=exempt,
        breakers=breakers,
        dry_exempt=breakers | exempt,
        protected=torch.tensor(
            sorted({tokenizer.eos, *breaker_tokens(tokenizer, _NEWLINE)}) if settings.xtc_probability else [],
            dtype=torch.int64,
        ),
    )


def _check(settings: SamplerSettings, vocab_size: int) -> None:
    try:
        msgspec.convert(msgspec.to_builtins(settings, str_keys=True), type(settings), str_keys=True)
    except msgspec.ValidationError as error:
        raise SettingsError(f"A sampler setting is out of range: {error}. Correct it.") from error
    for name, tokens in (("logit_bias", settings.logit_bias), ("banned_tokens", settings.banned_tokens)):
        for token in tokens:
            if not 0 <= token < vocab_size:
                raise SettingsError(
                    f"The sampler setting “{name}” names token {token}, but this model's tokens are numbered "
                    f"0 to {vocab_size - 1}; take it out or correct it."
                )
    if "" in settings.banned_phrases:
        raise SettingsError("A banned phrase is empty; take it out, since it would forbid everything.")


class History:
    """The tokens so far, prompt included, and where their end stood before, kept only if a rule asks."""

    def __init__(self, rules: Rules, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        self._rules = rules
        self._unbroken = Repeats(ids) if rules.settings.no_repeat_ngram > 1 else None
        self._dry = Repeats(ids, rules.breakers) if rules.settings.dry_multiplier else None
        self.dry_multiplier = rules.settings.dry_multiplier

    def append(self, token: int) -> None:
        """One token more."""
        self.ids.append(token)
        for repeats in (self._unbroken, self._dry):
            if repeats is not None:
                repeats.append(token)

    def rewind(self, tokens: int) -> None:
        """Forget the last `tokens`."""
        if not tokens:
            return
        del self.ids[-tokens:]
        for repeats in (self._unbroken, self._dry):
            if repeats is not None:
                repeats.rewind(tokens)

    def raise_dry(self, multiplier: float) -> None:
        """Let DRY take so much from now on, whatever the settings say."""
        self.dry_multiplier = multiplier
        if self._dry is None and multiplier:
            self._dry = Repeats(self.ids, self._rules.breakers)

    def dry_penalties(self) -> dict[int, float]:
        """What DRY takes off each token now."""
        if self._dry is None or not self.dry_multiplier:
            return {}
        settings = self._rules.settings
        return dry_penalties(
            self._dry,
            self.dry_multiplier,
            base=settings.dry_base,
            allowed_length=settings.dry_allowed_length,
            reach=settings.dry_range,
            exempt=self._rules.dry_exempt,
        )

    def repeating_ngram(self) -> Collection[int]:
        """The tokens that would complete an n-gram seen before."""
        size = self._rules.settings.no_repeat_ngram
        if size == 1:
            return set(self.ids)
        return completing_tokens(self._unbroken, size) if self._unbroken is not None else ()


def adjusted(
    scores: Tensor,
    rules: Rules,
    history: History,
    *,
    taken: Sequence[int] = (),
    left_behind: Iterable[int] = (),
) -> Tensor:
    """Scores (vocab,) after steps 2 and 3; everything may be forbidden, and then all are -inf.

    `taken` are the tokens earlier takes of the request chose at this step, `left_behind` those this take
    went back from here.
    """
    settings = rules.settings
    scores = logit_bias(scores, rules.bias_ids, rules.bias)
    scores = repetition_penalty(
        scores, history.ids, settings.repetition_penalty, reach=settings.penalty_range, exempt=rules.exempt
    )
    scores = frequency_presence_penalty(
        scores,
        history.ids,
        settings.frequency_penalty,
        settings.presence_penalty,
        reach=settings.penalty_range,
        exempt=rules.exempt,
    )
    scores = diversity_penalty(scores, taken, settings.diversity)
    scores = subtract(scores, history.dry_penalties())
    scores = ban_tokens(scores, rules.banned)
    forbidden = {*history.repeating_ngram(), *left_behind}
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
