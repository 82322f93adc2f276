"""What each sampler setting does and may be, in a line each: for the settings screen, the command line and error messages."""

from __future__ import annotations

from typing import Final

from msgspec import inspect

from storyteller.engine.settings import SamplerSettings

_EXPLANATIONS: Final[dict[str, str]] = {
    "method": "How tokens are chosen: by chance, always the likeliest, or by a search.",
    "temperature": "How much chance: 0 is none, 1 is the model's own, above that it rambles.",
    "dynamic_temperature": "Lets temperature fall by so much where the model is sure, and rise where it is not.",
    "dynamic_exponent": "Above 1, dynamic temperature rises only where the model is very unsure.",
    "top_k": "Only so many of the likeliest tokens stay; 0 keeps all.",
    "top_p": "Only the likeliest tokens that make up this share of probability stay; 1 keeps all.",
    "min_p": "Tokens less likely than this share of the likeliest one's chance go; 0 keeps all.",
    "typical_p": "Only tokens about as surprising as expected stay, up to this share; 1 keeps all.",
    "epsilon_cutoff": "Tokens of a lower probability than this go; 0 keeps all.",
    "eta_cutoff": "As the epsilon cutoff, but more lenient where the model is unsure; 0 keeps all.",
    "tail_free": "Cuts the long tail where likelihood flattens out; 1 keeps all, 0.95 cuts a little.",
    "top_a": "Tokens below this times the square of the likeliest one's probability go; 0 keeps all.",
    "mirostat_tau": "Keeps the text's surprise near so many nats a token, 2 to 4 for prose; 0 is off.",
    "mirostat_eta": "How quickly mirostat corrects itself.",
    "xtc_probability": "How often the obvious choices are excluded; 0 is never.",
    "xtc_threshold": "What counts as an obvious choice: at least this probability.",
    "repetition_penalty": "Makes words that were there already less likely; 1 is off, 1.2 is a lot.",
    "frequency_penalty": "Taken off a token for each time it was there; 0 is off.",
    "presence_penalty": "Taken off a token that was there at all; 0 is off.",
    "penalty_range": "The penalties look back over so many tokens; 0 is everything.",
    "penalty_exempt": "Texts that are never penalised, such as a line break or a name.",
    "no_repeat_ngram": "No run of so many tokens may come twice; 0 is off.",
    "dry_multiplier": "How hard DRY holds the text back from repeating whole phrases; 0 is off, 0.8 is usual.",
    "dry_base": "How steeply DRY's penalty grows with each token repeated.",
    "dry_allowed_length": "Phrases of so many tokens may repeat before DRY steps in.",
    "dry_range": "DRY looks back over so many tokens; 0 is everything.",
    "dry_breakers": "Texts at which DRY starts afresh, so that dialogue and lists are left alone.",
    "diversity": "Keeps takes apart: taken off a token for each earlier take that chose it there; 0 is off.",
    "loop_guard": "Notices a text going in circles, goes back to where that began, and says so.",
    "logit_bias": "Added to the score of single tokens, by number: above 0 wanted, below 0 unwanted.",
    "banned_tokens": "Tokens, by number, that never come.",
    "banned_phrases": "Phrases that never come, in any case of letters; the text goes back before them.",
    "rewind_budget": "So many tokens a take may throw away on banned phrases and loops.",
    "guidance_scale": "How far to move away from what the negative prompt would say; 1 is off, 1.5 is firm.",
    "negative_prompt": "A text whose continuations are not wanted; used with the guidance scale.",
    "adapter_contrast": "How far to go past the adapter, away from the plain model; 0 is off.",
    "beams": "How many beginnings beam search follows at a time.",
    "length_penalty": "Above 0 beam search favours long continuations, below 0 short ones.",
    "early_stopping": "Beam search ends once it has enough whole continuations, instead of looking for better ones.",
    "contrastive_alpha": "How much contrastive search avoids likeness to what was said; 0 is greedy.",
    "contrastive_k": "How many of the likeliest tokens contrastive search chooses from.",
}


def explain(field: str) -> str:
    """One line for a writer about a field of `SamplerSettings`.

    Raises:
        KeyError: there is no such field.
    """
    return _EXPLANATIONS[field]


def allowed(field: str) -> str:
    """What the field may be, in words: `a number from 0 to 1`.

    Raises:
        KeyError: there is no such field.
    """
    for known in _fields():
        if known.name == field:
            return _allowed(known.type)
    raise KeyError(field)


def _fields() -> tuple[inspect.Field, ...]:
    described = inspect.type_info(SamplerSettings)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - tells the type checker what msgspec returns
    return described.fields


def _allowed(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType():
            return f"one of {', '.join(str(value) for value in kind.values)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType():
            return "a text in quotes"
        case inspect.IntType():
            return f"a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"a number{_range(kind)}"
        case inspect.VarTupleType(item_type=inspect.IntType()):
            return "a list of whole numbers in brackets"
        case inspect.VarTupleType():
            return "a list of texts in quotes, in brackets"
        case inspect.DictType():
            return 'a table of numbers by token, such as { "198" = -1.5 }'
    raise TypeError(f"nobody said in words what a {type(kind).__name__} may be")


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.gt is not None:
        return f" above {kind.gt:,g}"
    return f" from {kind.ge:,.10g} to {kind.le:,.10g}"
