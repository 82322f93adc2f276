"""Settings made ready for one model: checked, and their texts and ids looked up in its vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import torch
from msgspec import Struct

from storyteller.engine.sampling.texts import breaker_tokens, exempt_tokens
from storyteller.errors import SettingsError

if TYPE_CHECKING:
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
