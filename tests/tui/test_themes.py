"""Themes can be read: contrast, hostile files, every Textual theme in the room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from storyteller import paths
from storyteller.errors import SettingsError
from storyteller.tui.themes import contrast, load_themes, read_theme, room_variables

if TYPE_CHECKING:
    from pathlib import Path

OWN = load_themes()[0]
TEXT = ("room-muted", "room-accent", "room-alarm", "origin-mine", "origin-accepted", "origin-edited")


def colours(theme: Theme) -> dict[str, str]:
    return {**theme.to_color_system().generate(), **room_variables(theme)}


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(Color.parse("#000"), Color.parse("#fff")) == pytest.approx(21)
    assert contrast(Color.parse("#777"), Color.parse("#fff")) == pytest.approx(4.48, abs=0.01)


def test_both_of_ours_are_there() -> None:
    assert {theme.name for theme in OWN} == {"lamplight", "paper"}
    assert {theme.name: theme.dark for theme in OWN} == {"lamplight": True, "paper": False}


@pytest.mark.parametrize("theme", OWN, ids=lambda theme: theme.name)
@pytest.mark.parametrize("behind", ["background", "surface"])
def test_text_of_our_themes_can_be_read(theme: Theme, behind: str) -> None:
    shown = colours(theme)
    background = Color.parse(shown[behind])
    for name in (*TEXT, "foreground"):
        assert contrast(Color.parse(shown[name]), background) >= 4.5, name
    assert contrast(Color.parse(shown["origin-provisional"]), background) >= 3.0


@pytest.mark.parametrize("theme", OWN, ids=lambda theme: theme.name)
def test_text_stays_readable_where_it_is_chosen(theme: Theme) -> None:
    shown = colours(theme)
    for behind in ("panel", "room-selection"):
        assert contrast(Color.parse(shown["foreground"]), Color.parse(shown[behind])) >= 4.5, behind


@pytest.mark.parametrize("name", [name for name, theme in BUILTIN_THEMES.items() if not theme.ansi])
def test_origins_can_be_read_in_every_theme_of_textual(name: str) -> None:
    theme = BUILTIN_THEMES[name]
    shown = colours(theme)
    background = Color.parse(shown["background"])
    best = contrast(Color.parse(shown["foreground"]), background)
    for colour in TEXT:
        assert contrast(Color.parse(shown[colour]), background) >= min(4.5, best), colour
    assert contrast(Color.parse(shown["origin-provisional"]), background) >= 3.0


def write_theme(name: str, text: str) -> Path:
    folder = paths.config_dir() / "themes"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_writers_theme_is_loaded_and_may_replace_ours() -> None:
    write_theme(
        "sea.toml", 'dark = true\nbackground = "#001122"\nforeground = "#ddeeff"\naccent = "#88ccff"\n'
    )
    write_theme("paper.toml", 'dark = false\nbackground = "white"\nforeground = "black"\naccent = "#800"\n')
    themes, warnings = load_themes()
    assert warnings == []
    assert {theme.name: theme.background for theme in themes} == {
        "lamplight": "#17130f",
        "sea": "#001122",
        "paper": "white",
    }


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("bad.toml", "dark = true", "missing required field"),
        (
            "bad.toml",
            'dark = true\nbackground = "[/red]"\nforeground = "#fff"\naccent = "#fff"',
            "not a colour",
        ),
        (
            "bad.toml",
            'dark = true\nbackground = "#000"\nforeground = "#fff"\naccent = "#fff"\ncss = "x"',
            "css",
        ),
        ("bad.toml", "dark = ", "not TOML"),
        ("Bad Name.toml", "dark = true", "small letters"),
    ],
)
def test_an_unusable_theme_is_one_warning_and_the_rest_loads(
    name: str, text: str, says: str
) -> None:  # safety 77
    path = write_theme(name, text)
    with pytest.raises(SettingsError, match=says):
        read_theme(path)
    themes, warnings = load_themes()
    assert len(themes) == 2
    assert len(warnings) == 1
    assert says in warnings[0]
