"""Every sampler setting is an option of `continue`, made from the struct, and a bad value is named."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from storyteller.cli.continue_ import continue_
from storyteller.cli.sampler_options import option_name, settings_from, unescape
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import SettingsError
from tests.stubs.command import in_process

BASE = SamplerSettings(top_k=100, temperature=0.8)


def test_every_setting_is_an_option() -> None:
    parameters = inspect.signature(continue_).parameters
    assert set(SamplerSettings.__struct_fields__) <= set(parameters)
    assert all(parameters[name].default is None for name in SamplerSettings.__struct_fields__)


def test_an_option_that_is_not_given_arrives_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def keep(base: SamplerSettings, given: dict[str, Any]) -> SamplerSettings:
        seen.update(given)
        raise SettingsError("enough")

    monkeypatch.setattr("storyteller.cli.continue_.settings_from", keep)
    assert (
        in_process(
            "continue", "--top-p", "0.5", "--dry-breakers", ".", "--dry-breakers", "!", "--no-loop-guard"
        ).code
        == 2
    )
    given = {name: value for name, value in seen.items() if value is not None}
    assert given == {"top_p": 0.5, "dry_breakers": [".", "!"], "loop_guard": False}
    assert set(seen) == set(SamplerSettings.__struct_fields__)


def test_what_is_not_given_stays_the_presets() -> None:
    assert settings_from(BASE, dict.fromkeys(SamplerSettings.__struct_fields__)) == BASE


def test_what_is_given_wins() -> None:
    given: dict[str, Any] = {
        "temperature": 0.5,
        "top_k": 0,
        "method": "greedy",
        "loop_guard": False,
        "banned_tokens": ["5", "7"],
        "dry_breakers": ["\\n", "."],
        "logit_bias": ["198=-1.5", "3=2"],
        "negative_prompt": "dull",
    }
    assert settings_from(BASE, given) == SamplerSettings(
        temperature=0.5, top_k=0, method="greedy", loop_guard=False, banned_tokens=(5, 7),
        dry_breakers=("\n", "."), logit_bias={198: -1.5, 3: 2.0}, negative_prompt="dull",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("top_p", 1.5, "--top-p 1.5: it may only be a number from 0 to 1"),
        ("temperature", -1.0, "--temperature -1.0"),
        ("temperature", float("nan"), "--temperature nan"),
        ("frequency_penalty", float("inf"), "--frequency-penalty inf"),
        ("method", "magic", "--method magic: it may only be one of beam, contrastive, greedy, sample"),
        ("beams", 99, "--beams 99: it may only be a whole number from 1 to 16"),
        ("top_k", -1, "--top-k -1"),
        ("banned_tokens", ["x"], "--banned-tokens x: it may only be a token's number"),
        ("logit_bias", ["5"], "--logit-bias 5: it may only be a token's number, = and a number"),
        ("logit_bias", ["5=nan"], "--logit-bias 5=nan"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: Any, says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings_from(BASE, {name: value})
    assert says in raised.value.message


def test_escapes_of_the_shell_less_kind() -> None:
    assert unescape(r"a\nb\t\\n") == "a\nb\t\\n"
    assert unescape("plain") == "plain"


def test_names_have_dashes() -> None:
    assert [option_name(name) for name in ("top_p", "no_repeat_ngram")] == ["--top-p", "--no-repeat-ngram"]


def test_defaults_of_the_struct_are_allowed() -> None:
    given = {
        name: value
        for name, value in msgspec.to_builtins(SamplerSettings()).items()
        if isinstance(value, int | float)
    }
    assert settings_from(SamplerSettings(), given) == SamplerSettings()
