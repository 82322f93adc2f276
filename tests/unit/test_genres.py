"""The registry of genres: what ships, what a writer adds, and which names can be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.errors import SettingsError
from storyteller.genres import Genre, check_name, find_genre, genres_path, load_genres, shipped_genres


def write(text: str) -> Path:
    path = genres_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_stories_poetry_and_code_ship() -> None:
    genres = load_genres()
    assert list(genres) == ["stories", "poetry", "code"]
    assert genres["stories"].preset == "balanced"
    assert not genres["stories"].keep_line_breaks
    assert genres["poetry"].preset == "poem"
    assert genres["poetry"].keep_line_breaks
    assert genres["poetry"].end_documents
    assert genres["code"].preset == "code"
    assert genres["code"].keep_indentation


def test_a_writers_genre_needs_no_more_than_a_name() -> None:
    write("[noir]\n")
    assert load_genres()["noir"] == Genre(name="noir", title="Noir", corpus="noir")


def test_a_writers_file_changes_fields_of_a_shipped_genre_and_leaves_the_rest() -> None:
    write('[poetry]\npreset = "wild"\n')
    poetry = load_genres()["poetry"]
    assert poetry.preset == "wild"
    assert poetry.keep_line_breaks
    assert shipped_genres()["poetry"].preset == "poem"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[noir]\npresets = 'wild'\n", "unknown field.*presets"),
        ("[noir]\nkeep_line_breaks = 'yes'\n", "keep_line_breaks"),
        ("[noir]\npreset = '../wild'\n", "preset"),
        ("[noir]\ncorpus = '/etc'\n", "corpus"),
        ("[noir]\nname = 'other'\n", "name"),
        ("noir = 3\n", "table"),
        ("[Noir]\n", "cannot name a genre"),
        ("['../../x']\n", "cannot name a genre"),
        ("[noir\n", "not TOML"),
    ],
)
def test_a_bad_file_says_which_file_and_why(text: str, says: str) -> None:
    path = write(text)
    with pytest.raises(SettingsError, match=says) as raised:
        load_genres()
    assert str(path) in raised.value.message
    assert shipped_genres()  # what the room falls back on


def test_find_genre_suggests_and_lists() -> None:
    assert find_genre("code").title == "Code"
    with pytest.raises(SettingsError, match=r"stories, poetry, code\. Perhaps poetry\?"):
        find_genre("poetri")


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "",
        ".",
        "a/b",
        "A",
        "x" * 65,
        "[red]x[/red]",
        "\x1b[31mred",
        "naïve",
        "-x",
        "_x",
        "x\n",
        "x\0",
        "none",
    ],
)
def test_names_that_cannot_be_safety_53(name: str) -> None:  # safety 53
    with pytest.raises(SettingsError, match="cannot name a genre"):
        check_name(name)
    with pytest.raises(SettingsError, match="cannot name a genre"):
        find_genre(name)


@given(st.text(max_size=80))
def test_a_name_that_passes_is_one_harmless_path_component_safety_53(name: str) -> None:  # safety 53
    try:
        check_name(name)
    except SettingsError:
        return
    assert name.isascii()
    assert Path(name).name == name
    assert not set(name) & set("[]./\\\x1b\n \x00")
