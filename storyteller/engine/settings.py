"""What a request may ask of the sampler: one frozen struct, one field a setting, neutral by default.

No torch here: the app, the feedback log and the presets speak of settings without loading a model.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Method = Literal["sample", "greedy", "beam", "contrastive"]
SEARCHES: Final = frozenset[Method](("beam", "contrastive"))  # methods of one mix for all takes of a request

LARGEST: Final = 1_000_000  # beyond it no setting means anything, and scores leave float32

Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
NonNegative = Annotated[float, Meta(ge=0.0, le=LARGEST)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
Positive = Annotated[float, Meta(gt=0.0, le=LARGEST)]


class SamplerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the next token is chosen. A field at its default does nothing.

    The order in which the steps run is `engine.sampling.pipeline`'s; each field names its source there.
    """

    method: Method = "sample"

    # how much chance
    temperature: NonNegative = 1.0
    dynamic_temperature: NonNegative = 0.0  # half-range around `temperature`, steered by entropy
    dynamic_exponent: Positive = 1.0

    # which tokens stay
    top_k: Count = 0
    top_p: Fraction = 1.0
    min_p: Fraction = 0.0
    typical_p: Fraction = 1.0
    epsilon_cutoff: Fraction = 0.0
    eta_cutoff: Fraction = 0.0
    tail_free: Fraction = 1.0
    top_a: Fraction = 0.0
    mirostat_tau: NonNegative = 0.0  # target surprise in nats; 0 is off
    mirostat_eta: Positive = 0.1
    xtc_probability: Fraction = 0.0
    xtc_threshold: Fraction = 0.1

    # what may repeat
    repetition_penalty: Positive = 1.0
    frequency_penalty: Number = 0.0
    presence_penalty: Number = 0.0
    penalty_range: Count = 0  # last so many tokens; 0 is the whole context
    penalty_exempt: tuple[str, ...] = ()  # texts whose tokens are never penalised, e.g. a newline
    no_repeat_ngram: Count = 0
    dry_multiplier: NonNegative = 0.0
    dry_base: Positive = 1.75
    dry_allowed_length: Count = 2
    dry_range: Count = 0
    dry_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    diversity: NonNegative = 0.0  # taken off a token for each earlier take of the request that chose it here
    loop_guard: bool = True  # notice a loop, go back to its start, raise DRY, say so

    # what is wanted or forbidden
    logit_bias: dict[int, Number] = {}
    banned_tokens: tuple[int, ...] = ()
    banned_phrases: tuple[str, ...] = ()
    rewind_budget: Count = 64  # tokens a take may throw away on banned phrases and loops

    # a second opinion
    guidance_scale: NonNegative = 1.0  # against `negative_prompt`; 1 is off
    negative_prompt: str = ""
    adapter_contrast: NonNegative = 0.0  # how far past the adapter, away from the base; 0 is off

    # searches
    beams: Annotated[int, Meta(ge=1, le=16)] = 4
    length_penalty: Number = 1.0
    early_stopping: bool = True
    contrastive_alpha: Fraction = 0.6
    contrastive_k: Annotated[int, Meta(ge=1, le=64)] = 4


class StopRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a take ends.

    Attributes:
        max_tokens: at most so many tokens, those not counted that only say an unfinished word again.
        stop: texts that end the take; they are not part of it.
        end_at_sentence: end at the first sentence end once `max_tokens` minus a margin is reached, and
            cut an unfinished sentence off a take that ran to its length, unless that leaves nothing.
    """

    max_tokens: Annotated[int, Meta(ge=0, le=100_000)] = 60
    stop: tuple[str, ...] = ()
    end_at_sentence: bool = False
