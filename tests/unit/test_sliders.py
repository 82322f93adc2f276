"""The sliders move one thing each, and the die never draws nonsense."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.presets import shipped_presets
from storyteller.engine.settings import SamplerSettings
from storyteller.engine.sliders import draw_preset, from_sliders

places = st.floats(0.0, 1.0)
presets = st.sampled_from([preset.settings for preset in shipped_presets().values()])


def checked(settings: SamplerSettings) -> SamplerSettings:
    return msgspec.convert(msgspec.to_builtins(settings, str_keys=True), SamplerSettings, str_keys=True)


@given(presets)
def test_in_the_middle_nothing_changes(preset: SamplerSettings) -> None:
    assert from_sliders(preset, 0.5, 0.5) == preset


@given(presets, places, places)
def test_anywhere_the_settings_are_allowed(
    preset: SamplerSettings, randomness: float, repetition: float
) -> None:
    settings = from_sliders(preset, randomness, repetition)
    assert checked(settings) == settings
    assert settings.temperature <= 2.0
    assert settings.method == preset.method


@given(presets, places, places)
def test_more_randomness_is_never_cooler(preset: SamplerSettings, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert from_sliders(preset, low, 0.5).temperature <= from_sliders(preset, high, 0.5).temperature


@given(presets, places, places)
def test_more_against_repetition_is_never_laxer(preset: SamplerSettings, one: float, other: float) -> None:
    low, high = (from_sliders(preset, 0.5, place) for place in sorted((one, other)))
    assert low.repetition_penalty <= high.repetition_penalty
    assert low.dry_multiplier <= high.dry_multiplier
    assert low.no_repeat_ngram <= high.no_repeat_ngram


def test_the_ends_of_the_sliders() -> None:
    balanced = shipped_presets()["balanced"].settings
    free, firm = from_sliders(balanced, 0.0, 0.0), from_sliders(balanced, 1.0, 1.0)
    assert (free.temperature, free.repetition_penalty, free.dry_multiplier) == (0.2, 1.0, 0.0)
    assert (firm.temperature, firm.repetition_penalty, firm.dry_multiplier) == (1.4, 1.2, 1.6)
    code = from_sliders(shipped_presets()["code"].settings, 0.5, 1.0)
    assert code.penalty_range == 360, "a penalty it did not have does not reach over the whole novel"
    assert from_sliders(balanced, -3.0, 9.0) == from_sliders(balanced, 0.0, 1.0)


@pytest.mark.parametrize("name", ["greedy", "beam", "contrastive"])
def test_a_preset_without_chance_stays_without(name: str) -> None:
    preset = shipped_presets()[name].settings
    assert from_sliders(preset, 1.0, 0.5) == preset


def test_the_die_draws_what_can_be_written_with() -> None:
    drawn = [draw_preset(random.Random(seed)) for seed in range(300)]
    for settings in drawn:
        assert checked(settings) == settings
        assert settings.method == "sample"
        assert 0.7 <= settings.temperature <= 1.25
        cut = (
            settings.top_p < 1.0
            or settings.min_p >= 0.05
            or settings.typical_p < 1.0
            or settings.tail_free < 1.0
            or settings.mirostat_tau > 0.0
        )
        assert cut
        assert settings.repetition_penalty > 1.0 or settings.dry_multiplier > 0.0
        assert settings.loop_guard
    assert len({str(settings) for settings in drawn}) > 200
    assert draw_preset(random.Random(5)) == drawn[5]
