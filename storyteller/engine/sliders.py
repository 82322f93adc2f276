"""Two sliders and a die: settings made from a preset without knowing what top-p is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from storyteller.engine.settings import SamplerSettings

if TYPE_CHECKING:
    import random

MIDDLE: Final = 0.5  # where a slider leaves the preset as it is

_COOLEST, _WARMEST = 0.25, 1.75  # times the preset's temperature at the slider's ends
_HOTTEST: Final = 2.0  # GPT-2 writes noise beyond it
_FIRMEST_PENALTY: Final = 1.2
_FIRMEST_DRY: Final = 1.6
_USUAL_RANGE: Final = 360  # a penalty over a whole novel punishes names and punctuation


def from_sliders(preset: SamplerSettings, randomness: float, repetition: float) -> SamplerSettings:
    """`preset` with the sliders for randomness and repetition where they are, each from 0 to 1; 0.5 leaves it alone.

    Randomness moves the temperature; a preset without chance, a search or greedy, stays without.
    Repetition moves the repetition penalty and DRY between off (0, free to repeat) and firm (1).
    """
    return _with_repetition(_with_randomness(preset, _clamped(randomness)), _clamped(repetition))


def draw_preset(rng: random.Random) -> SamplerSettings:
    """Settings nobody chose, all of a kind that writes well: one way of cutting the tail, some check on repetition."""
    settings = SamplerSettings(temperature=round(rng.uniform(0.7, 1.0), 2), penalty_range=_USUAL_RANGE)
    match rng.choice(("top_p", "top_k", "min_p", "typical", "tail_free", "mirostat")):
        case "top_p":
            settings = replace(settings, top_p=round(rng.uniform(0.88, 0.96), 2))
        case "top_k":
            settings = replace(settings, top_k=rng.randrange(40, 121, 10), top_p=0.95)
        case "min_p":  # bears more heat than the others
            settings = replace(
                settings,
                temperature=round(rng.uniform(0.9, 1.25), 2),
                min_p=round(rng.uniform(0.05, 0.1), 2),
            )
        case "typical":
            settings = replace(settings, typical_p=round(rng.uniform(0.85, 0.95), 2), top_k=200)
        case "tail_free":
            settings = replace(settings, tail_free=round(rng.uniform(0.9, 0.97), 2), top_k=200)
        case "mirostat":
            settings = replace(settings, mirostat_tau=round(rng.uniform(2.2, 3.2), 1), top_k=200)
    if rng.random() < 0.25:
        settings = replace(
            settings, xtc_probability=round(rng.uniform(0.2, 0.5), 1), min_p=max(settings.min_p, 0.02)
        )
    if rng.random() < 0.5:
        return replace(settings, dry_multiplier=0.8, repetition_penalty=round(rng.uniform(1.0, 1.06), 2))
    return replace(settings, repetition_penalty=round(rng.uniform(1.06, 1.14), 2))


def _clamped(value: float) -> float:
    return min(1.0, max(0.0, value))


def _between(start: float, end: float, way: float) -> float:
    return round(start + (end - start) * way, 4)


def _with_randomness(preset: SamplerSettings, slider: float) -> SamplerSettings:
    if slider == MIDDLE or preset.method != "sample" or preset.temperature == 0.0:
        return preset
    if slider < MIDDLE:
        temperature = preset.temperature * _between(_COOLEST, 1.0, slider / MIDDLE)
    else:
        hottest = max(preset.temperature, min(_HOTTEST, preset.temperature * _WARMEST))
        temperature = _between(preset.temperature, hottest, slider / MIDDLE - 1.0)
    return replace(preset, temperature=round(temperature, 4))


def _with_repetition(preset: SamplerSettings, slider: float) -> SamplerSettings:
    if slider == MIDDLE:
        return preset
    if slider < MIDDLE:
        way = slider / MIDDLE
        return replace(
            preset,
            repetition_penalty=_between(1.0, preset.repetition_penalty, way),
            frequency_penalty=_between(0.0, preset.frequency_penalty, way),
            presence_penalty=_between(0.0, preset.presence_penalty, way),
            dry_multiplier=_between(0.0, preset.dry_multiplier, way),
            no_repeat_ngram=0,
        )
    way = slider / MIDDLE - 1.0
    penalised = preset.repetition_penalty != 1.0 or preset.frequency_penalty or preset.presence_penalty
    return replace(
        preset,
        repetition_penalty=_between(
            preset.repetition_penalty, max(preset.repetition_penalty, _FIRMEST_PENALTY), way
        ),
        dry_multiplier=_between(preset.dry_multiplier, max(preset.dry_multiplier, _FIRMEST_DRY), way),
        penalty_range=preset.penalty_range if penalised else _USUAL_RANGE,
    )
