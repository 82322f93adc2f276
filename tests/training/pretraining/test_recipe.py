"""Recipes: what is wrong in one is said by its key, before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from storyteller.errors import SettingsError
from storyteller.paths import assets_dir
from storyteller.training.pretraining.recipe import changed, data_folder, load_recipe
from tests.stubs.tiny_pretraining import make_recipe, recipe_fields, write_recipe

if TYPE_CHECKING:
    from pathlib import Path


def with_value(place: str, value: object) -> dict[str, Any]:
    """The tiny recipe with one thing changed; None takes it away."""
    fields = recipe_fields()
    part: Any = fields
    *way, last = place.split(".")
    for step in way:
        part = part[int(step)] if step.isdecimal() else part[step]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return fields


@pytest.mark.parametrize("name", ["recipe.toml", "recipe-cpu.toml"])
def test_the_shipped_recipes_are_whole(name: str) -> None:
    path = assets_dir() / "starter" / name
    recipe = load_recipe(path)
    assert [source.genre for source in recipe.sources] == ["fiction", "tales", "poems", "code"]
    assert sum(source.share for source in recipe.sources) == pytest.approx(1.0)
    assert data_folder(recipe, path, None).parts[-2:] == ("shared", "data")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("training.rtae", 1.0, "rtae"),
        ("extra", 1, "extra"),
        ("model.width", None, "width"),
        ("model.width", 0, "$.model.width"),
        ("model.width", "wide", "$.model.width"),
        ("model.heads", 3, "model.heads"),
        ("training.tokens_per_step", 100, "training.tokens_per_step"),
        ("training.tokens", None, "minutes or tokens"),
        ("training.minutes", 1.0, "minutes or tokens"),
        ("training.rate", -1.0, "$.training.rate"),
        ("training.rate", float("nan"), "$.training.rate"),
        ("training.dtype", "float16", "$.training.dtype"),
        ("tokenizer.vocabulary", 70_000, "$.tokenizer.vocabulary"),
        ("data.held_out", 1, "$.data.held_out"),
        ("name", "../x", "$.name"),
        ("sources", [], "$.sources"),
        ("sources.0.kind", "url", "$.sources[0].kind"),
        ("sources.0.genre", "a/b", "$.sources[0].genre"),
        ("sources.0.path", "", "needs a path"),
        ("sources.0.kind", "library", "has no path"),
        ("sources.0.repeats", 0, "repeats"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, place: str, value: object, said: str) -> None:
    path = write_recipe(tmp_path / "recipe.toml", with_value(place, value))
    with pytest.raises(SettingsError) as error:
        load_recipe(path)
    assert said in error.value.message
    assert str(path) in error.value.message
    assert error.value.exit_code == 2


def test_a_genre_stands_once(tmp_path: Path) -> None:
    fields = recipe_fields()
    fields["sources"] *= 2
    with pytest.raises(SettingsError, match="'verse' stands there twice"):
        load_recipe(write_recipe(tmp_path / "recipe.toml", fields))


@pytest.mark.parametrize("content", [None, "name = ", "\x00"])
def test_what_is_no_recipe_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "recipe.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"recipe\.toml"):
        load_recipe(path)


def test_options_take_the_place_of_what_the_recipe_says() -> None:
    recipe = make_recipe()
    assert changed(recipe) == recipe
    longer = changed(recipe, minutes=3, seed=7, megabytes=0.5)
    assert (longer.training.minutes, longer.training.tokens, longer.training.seed) == (3, None, 7)
    assert longer.data.megabytes == 0.5
    assert changed(longer, tokens=99).training.minutes is None


@pytest.mark.parametrize(
    "option",
    [{"minutes": 0.0}, {"tokens": 0}, {"seed": -1}, {"megabytes": -2.0}, {"minutes": 1.0, "tokens": 1}],
)
def test_an_option_that_cannot_be_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        changed(make_recipe(), **option)
