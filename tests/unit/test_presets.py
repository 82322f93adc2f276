"""Presets: the shipped ones, the writer's own, and what a bad file is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.explain import allowed, explain
from storyteller.engine.presets import Preset, find_preset, load_presets, presets_path, shipped_presets
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import SettingsError
from storyteller.text import display_line

if TYPE_CHECKING:
    from pathlib import Path


def written(text: str) -> Path:
    path = presets_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(text: str) -> str:
    path = written(text)
    with pytest.raises(SettingsError) as caught:
        load_presets()
    assert str(path) in caught.value.message
    assert caught.value.exit_code == 2
    return caught.value.message


def test_the_shipped_presets_have_the_numbers_they_are_known_for() -> None:
    expected = {
        "steady": SamplerSettings(temperature=0.7, top_p=0.9, repetition_penalty=1.1, penalty_range=256),
        "balanced": SamplerSettings(
            temperature=0.8,
            top_k=100,
            top_p=0.92,
            repetition_penalty=1.05,
            penalty_range=360,
            dry_multiplier=0.8,
            dry_base=1.75,
            dry_allowed_length=2,
            dry_breakers=("\n", ":", '"', "*"),
        ),
        "wild": SamplerSettings(
            temperature=1.0, top_p=0.98, repetition_penalty=1.1, penalty_range=360, dry_multiplier=0.8
        ),
        "min-p": SamplerSettings(temperature=1.1, min_p=0.08),
        "odd": SamplerSettings(min_p=0.02, xtc_probability=0.5, xtc_threshold=0.1),
        "code": SamplerSettings(temperature=0.2, top_p=0.95),
        "greedy": SamplerSettings(method="greedy"),
        "beam": SamplerSettings(method="beam", beams=4, no_repeat_ngram=3),
        "contrastive": SamplerSettings(method="contrastive", contrastive_alpha=0.6, contrastive_k=4),
    }
    expected["poem"] = msgspec.structs.replace(expected["balanced"], penalty_exempt=("\n",))
    expected["close"] = msgspec.structs.replace(expected["balanced"], temperature=0.5, guidance_scale=1.5)
    shipped = shipped_presets()
    assert {name: preset.settings for name, preset in shipped.items()} == expected
    for name, preset in shipped.items():
        assert preset.name == name
        assert 10 < len(preset.about) < 80
        assert "\n" not in preset.about


def test_without_a_file_of_the_writer_s_the_shipped_ones_are_all() -> None:
    assert load_presets() == shipped_presets()


def test_the_writer_adds_replaces_and_builds_on() -> None:
    written(
        """
        [mine]
        about = "As I like it."
        base = "night"
        top_k = 7
        logit_bias = { "198" = -1, "50256" = 0.5 }

        [night]
        base = "balanced"
        about = "Late."
        temperature = 1

        [steady]
        temperature = 0.5

        [wild]
        base = "wild"
        top_p = 0.9
        """
    )
    shipped, presets = shipped_presets(), load_presets()
    balanced = shipped["balanced"].settings
    assert list(presets)[: len(shipped)] == list(shipped)
    assert presets["night"] == Preset("night", "Late.", msgspec.structs.replace(balanced, temperature=1.0))
    assert presets["mine"] == Preset(
        "mine",
        "As I like it.",
        msgspec.structs.replace(balanced, temperature=1.0, top_k=7, logit_bias={198: -1.0, 50256: 0.5}),
    )
    assert presets["steady"].settings == SamplerSettings(temperature=0.5), "replaced as a whole"
    assert presets["wild"] == Preset(
        "wild", shipped["wild"].about, msgspec.structs.replace(shipped["wild"].settings, top_p=0.9)
    )


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("temperature", "-0.1", "a number from 0 to 1,000,000"),
        ("temperature", '"hot"', "“hot”, but it may only be a number"),
        ("temperature", "nan", "a number"),
        ("temperature", "inf", "a number"),
        ("repetition_penalty", "0", "a number above 0"),
        ("top_p", "1.2", "a number from 0 to 1"),
        ("top_k", "2.5", "a whole number from 0 to 1,000,000"),
        ("top_k", "true", "a whole number"),
        ("top_k", str(10**30), "a whole number"),
        ("beams", "17", "a whole number from 1 to 16"),
        ("method", '"magic"', "one of beam, contrastive, greedy, sample"),
        ("loop_guard", "1", "true or false"),
        ("negative_prompt", "3", "a text in quotes"),
        ("penalty_exempt", '"x"', "a list of texts in quotes, in brackets"),
        ("banned_tokens", '["a"]', "a list of whole numbers in brackets"),
        ("logit_bias", '{ "a" = 1 }', "a table of numbers by token"),
        ("logit_bias", '{ "1" = inf }', "a table of numbers by token"),
        ("presence_penalty", "1e300", "a number from -1,000,000 to 1,000,000"),
    ],
)
def test_a_bad_value_is_told_what_is_allowed(key: str, value: str, told: str) -> None:
    message = refusal(f"[mine]\n{key} = {value}\n")
    assert "preset mine" in message
    assert f"{key} is " in message
    assert told in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[mine]\ntemprature = 1", "no setting “temprature”. Perhaps temperature?"),
        ("[mine]\nname = 'x'", "no setting “name”"),
        ('[mine]\nbase = "balancd"', "Perhaps balanced?"),
        ("[mine]\nbase = 3", "base is 3, which is no preset"),
        ('[mine]\nbase = "mine"', "which is no preset|in a circle"),
        ('[a]\nbase = "b"\n[b]\nbase = "c"\n[c]\nbase = "b"', "in a circle, b → c → b"),
        ("[Mine]", "“Mine” cannot name a preset"),
        ('["../x"]', "cannot name a preset"),
        ("temperature = 1", "stands outside a preset"),
        ("[mine]\nabout = 3", "about is 3"),
        ('[mine]\nabout = "two\\nlines"', "one line of text"),
        (f'[mine]\nabout = "{"x" * 201}"', "at most 200 characters"),
    ],
)
def test_a_bad_table_is_told_so(text: str, told: str) -> None:
    message = refusal(text)
    assert any(part in message for part in told.split("|"))


def test_finding_one_by_name() -> None:
    assert find_preset("balanced").name == "balanced"
    with pytest.raises(SettingsError, match="Perhaps balanced"):
        find_preset("balance")
    with pytest.raises(SettingsError, match="There are steady, balanced, wild"):
        find_preset("zzz")


def test_every_setting_is_explained_in_a_line_and_bounded_in_words() -> None:
    seen = set()
    for field in SamplerSettings.__struct_fields__:
        line = explain(field)
        assert 15 < len(line) <= 100
        assert line.endswith(".")
        assert "\n" not in line
        seen.add(line)
        assert allowed(field)
    assert len(seen) == len(SamplerSettings.__struct_fields__)
    with pytest.raises(KeyError):
        explain("nonsense")
    with pytest.raises(KeyError):
        allowed("nonsense")


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=2),
)


@given(
    st.dictionaries(
        st.sampled_from([*SamplerSettings.__struct_fields__, "about", "base", "bogus"]), values, max_size=3
    )
)
def test_any_values_give_a_preset_or_a_refusal(table: dict[str, object]) -> None:
    written(tomlkit.dumps({"mine": {key: value for key, value in table.items() if value is not None}}))
    outcome = loaded_or_refused()
    if isinstance(outcome, SettingsError):
        assert display_line(outcome.message) == outcome.message
        assert "mine" in outcome.message
        return
    chosen = outcome["mine"].settings
    plain = msgspec.to_builtins(chosen, str_keys=True)
    assert msgspec.convert(plain, SamplerSettings, str_keys=True) == chosen
    assert msgspec.json.decode(msgspec.json.encode(chosen), type=SamplerSettings) == chosen


def loaded_or_refused() -> dict[str, Preset] | SettingsError:
    try:
        return load_presets()
    except SettingsError as error:
        return error
