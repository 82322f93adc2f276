"""How the model is asked to write: sliders, dice, and settings as a person writes them."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.presets import shipped_presets
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import SettingsError
from storyteller.tui.manner import LENGTHS, Manner, changed, diced, shown_value, slid, sliders, with_preset

PRESETS = shipped_presets()
BALANCED = Manner(genre="stories", preset=PRESETS["balanced"], base=PRESETS["balanced"].settings)


def test_untouched_it_is_the_preset() -> None:
    assert BALANCED.settings == PRESETS["balanced"].settings
    assert BALANCED.name == "balanced"
    assert BALANCED.stop.max_tokens == 60


@pytest.mark.parametrize("name", ["randomness", "length", "repetition"])
@given(by=st.integers(-40, 40))
def test_a_slider_stays_on_its_track_and_comes_back(name: str, by: int) -> None:
    moved = slid(BALANCED, name, by)
    for slider in sliders(moved):
        assert 0 <= slider.place <= 1
    if abs(by) <= 4:
        assert slid(moved, name, -by) == BALANCED


def test_sliders_do_what_they_say() -> None:
    assert slid(BALANCED, "randomness", 3).settings.temperature > BALANCED.settings.temperature
    assert slid(BALANCED, "randomness", -3).settings.temperature < BALANCED.settings.temperature
    assert slid(BALANCED, "repetition", 5).settings.repetition_penalty > BALANCED.settings.repetition_penalty
    assert slid(BALANCED, "length", 99).max_tokens == LENGTHS[-1]
    assert slid(BALANCED, "randomness", 3).name == "balanced*"


@given(st.integers())
def test_the_die_always_draws_usable_settings(seed: int) -> None:
    settings = diced(BALANCED, random.Random(seed)).settings
    assert (
        msgspec.convert(msgspec.to_builtins(settings, str_keys=True), SamplerSettings, str_keys=True)
        == settings
    )


def test_another_preset_puts_the_sliders_back() -> None:
    moved = with_preset(slid(BALANCED, "randomness", 5), PRESETS["wild"])
    assert (moved.name, moved.settings) == ("wild", PRESETS["wild"].settings)


@pytest.mark.parametrize("name", [name for name in SamplerSettings.__struct_fields__ if name != "logit_bias"])
def test_what_is_shown_can_be_written_back(name: str) -> None:
    value = getattr(BALANCED.settings, name)
    assert getattr(changed(BALANCED, name, shown_value(value)).settings, name) == value


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("temperature", "0.5", 0.5),
        ("temperature", "1", 1.0),
        ("top_k", "40", 40),
        ("loop_guard", "no", False),
        ("loop_guard", "yes", True),
        ("method", "beam", "beam"),
        ("banned_phrases", '"all at once", "of course"', ("all at once", "of course")),
        ("banned_phrases", "", ()),
        ("logit_bias", '"198" = -1.5', {198: -1.5}),
        ("logit_bias", "", {}),
        ("negative_prompt", "a dull report", "a dull report"),
    ],
)
def test_settings_as_a_person_writes_them(name: str, written: str, value: object) -> None:
    manner = changed(BALANCED, name, written)
    assert getattr(manner.settings, name) == value
    assert getattr(changed(manner, name, shown_value(value)).settings, name) == value


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("temperature", "hot"),
        ("temperature", "-1"),
        ("temperature", "nan\nx = 1"),
        ("top_p", "2"),
        ("top_k", "1.5"),
        ("loop_guard", "maybe"),
        ("method", "magic"),
        ("banned_phrases", "no quotes"),
        ("logit_bias", "198"),
    ],
)
def test_what_cannot_be_is_explained(name: str, written: str) -> None:
    with pytest.raises(SettingsError, match="may only be"):
        changed(BALANCED, name, written)
