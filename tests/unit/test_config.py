"""Settings: what a writer may put into config.toml, and what becomes of what they may not."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from storyteller.config import Settings, config_path, describe, load_settings, save_setting
from storyteller.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def write(text: str) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_without_a_file_and_no_directory_is_made(home: Path) -> None:
    assert load_settings() == (Settings(), [])
    assert not home.exists()


def test_the_defaults_are_allowed_values_themselves() -> None:
    assert msgspec.convert(msgspec.to_builtins(Settings()), Settings) == Settings()


def test_values_are_read() -> None:
    write('model = "gpt2-large"\ntakes = 3\nauto_offer_delay_s = 2\npreset = "min-p"\ndevice = "cuda:1"\n')
    settings, warnings = load_settings()
    assert warnings == []
    assert settings == Settings(
        model="gpt2-large", takes=3, auto_offer_delay_s=2.0, preset="min-p", device="cuda:1"
    )


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("takes = 0", "takes"),
        ("takes = true", "takes"),
        ('takes = "three"', "takes"),
        ("braid_lanes = 7", "braid_lanes"),
        ('mix = ["noir"]', "mix"),
        ('mix = ["../noir=1"]', "mix"),
        ('mix = ["noir=nan"]', "mix"),
        ("auto_offer_delay_s = nan", "auto_offer_delay_s"),
        ("column_width = 99999999999999999999999", "column_width"),
        ('dtype = "int3"', "dtype"),
        ('device = "cuda; rm -rf /"', "device"),
        ("model = 3", "model"),
        ("daily_goal = 1979-05-27", "daily_goal"),
        ("[takes]\nn = 1", "takes"),
    ],
)
def test_a_bad_value_gives_its_default_and_one_warning(line: str, names: str) -> None:
    write(f'preset = "wild"\n{line}\n')
    settings, warnings = load_settings()
    assert settings == Settings(preset="wild")
    assert len(warnings) == 1
    assert names in warnings[0]
    assert "config.toml" in warnings[0]


def test_an_unknown_setting_is_named_with_the_one_that_was_meant() -> None:
    write('modle = "gpt2"\n')
    settings, warnings = load_settings()
    assert settings == Settings()
    assert "'modle'" in warnings[0]
    assert "Perhaps model?" in warnings[0]


def test_every_setting_is_documented() -> None:
    for name in Settings.__struct_fields__:
        assert describe(name).endswith("."), name


def test_save_keeps_comments_order_and_other_values() -> None:
    path = write('# mine\ntheme = "paper"   # by day\n\n# a long one\nmax_tokens = 90\n')
    save_setting("theme", "lamplight")
    assert path.read_text() == '# mine\ntheme = "lamplight"   # by day\n\n# a long one\nmax_tokens = 90\n'


def test_save_makes_the_file_and_says_what_the_setting_is() -> None:
    save_setting("takes", 4)
    assert f"# {describe('takes')}\ntakes = 4\n" == config_path().read_text()
    save_setting("model", "gpt2-large")
    assert load_settings() == (Settings(takes=4, model="gpt2-large"), [])


def test_save_none_gives_the_default_back() -> None:
    save_setting("model", "gpt2-large")
    save_setting("model", None)
    assert load_settings()[0].model is None
    save_setting("model", None)  # twice is no error


@pytest.mark.parametrize(
    ("name", "value"),
    [("takes", 9), ("nothing", 1), ("nothing", None), ("theme", "../paper"), ("takes", "3")],
)
def test_save_refuses_what_load_would_refuse(name: str, value: object) -> None:
    write("takes = 2\n")
    with pytest.raises(SettingsError, match=name):
        save_setting(name, value)
    assert config_path().read_text() == "takes = 2\n"


def test_save_leaves_a_file_that_is_not_toml_alone() -> None:
    path = write("takes = = 2\n")
    with pytest.raises(SettingsError, match="not TOML"):
        save_setting("takes", 3)
    assert path.read_text() == "takes = = 2\n"


def test_save_writes_through_a_symbolic_link(tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles.toml"
    dotfiles.write_text("takes = 2\n")
    config_path().parent.mkdir(parents=True)
    config_path().symlink_to(dotfiles)
    save_setting("takes", 3)
    assert config_path().is_symlink()
    assert dotfiles.read_text() == "takes = 3\n"


def values_of(name: str) -> st.SearchStrategy[Any]:
    candidates: dict[str, st.SearchStrategy[Any]] = {
        "model": st.text(min_size=1).filter(lambda text: text.isprintable()),
        "device": st.sampled_from(["auto", "cpu", "cuda:3", "mps"]),
        "dtype": st.sampled_from(["auto", "float32", "bfloat16"]),
        "preset": st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,20}\Z"),
        "auto_offer_delay_s": st.floats(0.1, 60),
        "max_tokens": st.integers(1, 1000),
        "focus": st.booleans(),
    }
    return candidates[name]


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(
    changes=st.lists(
        st.sampled_from(
            ["model", "device", "dtype", "preset", "auto_offer_delay_s", "max_tokens", "focus"]
        ).flatmap(lambda name: st.tuples(st.just(name), values_of(name))),
        max_size=6,
    )
)
def test_what_is_saved_is_what_is_loaded(changes: list[tuple[str, Any]]) -> None:
    write('# a comment that stays\ntheme = "paper"\n')
    for name, value in changes:
        save_setting(name, value)
    settings, warnings = load_settings()
    assert warnings == []
    assert settings == msgspec.structs.replace(Settings(theme="paper"), **dict(changes))
    assert config_path().read_text().startswith('# a comment that stays\ntheme = "paper"\n')
    assert tomllib.loads(config_path().read_text())


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_can_be_written_and_read_back(name: str) -> None:
    default = getattr(Settings(), name)
    unset = ("noir=0.8", "stories=1.25") if name == "mix" else "gpt2"
    save_setting(name, unset if default is None else default)
    settings, warnings = load_settings()
    assert warnings == []
    assert getattr(settings, name) == (unset if default is None else default)
