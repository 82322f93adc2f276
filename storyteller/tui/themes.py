"""Themes: the two of our own and the writer's, read from TOML; and origin colours for any other theme.

A theme file is a table of colours; nothing in it is code, a path or markup.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from textual.color import Color, ColorParseError
from textual.theme import Theme

from storyteller import paths
from storyteller.config import NAME_PATTERN
from storyteller.errors import SettingsError
from storyteller.toml_file import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFAULT_THEME: Final = "lamplight"
TEXT_CONTRAST: Final = 4.5  # WCAG 2.2, 1.4.3
PROVISIONAL_CONTRAST: Final = 3.0
ORIGINS: Final = ("mine", "accepted", "edited", "provisional")
_NAME: Final = re.compile(NAME_PATTERN)


class OriginColours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The colour of text by who wrote it."""

    mine: str
    accepted: str
    edited: str
    provisional: str


class ThemeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A theme as it stands in TOML. Colours are what CSS calls them: `#17130f`, `rgb(1,2,3)`, `white`."""

    dark: bool
    background: str
    foreground: str
    accent: str
    muted: str | None = None
    faint: str | None = None
    surface: str | None = None
    panel: str | None = None
    primary: str | None = None
    secondary: str | None = None
    warning: str | None = None
    error: str | None = None
    success: str | None = None
    cursor: str | None = None
    selection: str | None = None
    origin: OriginColours | None = None


def load_themes() -> tuple[list[Theme], list[str]]:
    """Our themes and the writer's (whose win), and one warning for each file that could not be used."""
    themes: dict[str, Theme] = {}
    warnings = []
    for path in (*_theme_files(paths.assets_dir() / "themes"), *_theme_files(paths.config_dir() / "themes")):
        try:
            themes[path.stem] = read_theme(path)
        except SettingsError as error:
            warnings.append(error.message)
    return list(themes.values()), warnings


def read_theme(path: Path) -> Theme:
    """The theme in `path`, called as the file is.

    Raises:
        SettingsError: the name, a field or a colour is not usable; it says which and what is allowed.
    """
    if not _NAME.match(path.stem):
        raise SettingsError(f"{path}: a theme's file is named with small letters, digits, - and _ only.")
    try:
        colours = msgspec.convert(read_toml(path), ThemeFile)
    except msgspec.ValidationError as error:
        allowed = ", ".join(ThemeFile.__struct_fields__)
        raise SettingsError(f"{path}: {error}. A theme has {allowed}.") from error
    for name, colour in _colours(colours):
        try:
            Color.parse(colour)
        except ColorParseError as error:
            raise SettingsError(
                f'{path}: {name} = "{colour}" is not a colour; write it as "#17130f".'
            ) from error
    return _to_theme(path.stem, colours)


def room_variables(theme: Theme) -> dict[str, str]:
    """The CSS variables of the room that `theme` does not set itself, so that any Textual theme serves.

    Origin colours lean towards the theme's accent and success, and are pulled back to the foreground until
    they can be read.
    """
    generated = theme.to_color_system().generate()
    if theme.ansi:
        return {
            "room-muted": "ansi_default",
            "room-faint": "ansi_default",
            "room-accent": "ansi_yellow",
            "room-alarm": "ansi_red",
            "room-cursor": "ansi_default",
            "room-selection": "ansi_blue",
            "origin-mine": "ansi_default",
            "origin-accepted": "ansi_yellow",
            "origin-edited": "ansi_green",
            "origin-provisional": "ansi_default",
        } | theme.variables
    background, surface, foreground, accent, success, error = (
        Color.parse(generated[name])
        for name in ("background", "surface", "foreground", "accent", "success", "error")
    )

    def readable(colour: Color, ratio: float = TEXT_CONTRAST) -> str:
        return _readable(colour, foreground, (background, surface), ratio).hex

    return {
        "room-muted": readable(background.blend(foreground, 0.6)),
        "room-faint": background.blend(foreground, 0.25).hex,
        "room-accent": readable(accent),
        "room-alarm": readable(error),
        "room-cursor": accent.hex,
        "room-selection": background.blend(accent, 0.35).hex,
        "origin-mine": foreground.hex,
        "origin-accepted": readable(foreground.blend(accent, 0.6)),
        "origin-edited": readable(foreground.blend(success, 0.6)),
        "origin-provisional": readable(background.blend(foreground, 0.55), PROVISIONAL_CONTRAST),
    } | theme.variables


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _theme_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except OSError:
        return []


def _colours(file: ThemeFile) -> Iterator[tuple[str, str]]:
    for name, value in msgspec.to_builtins(file).items():
        if isinstance(value, dict):
            yield from ((f"origin.{key}", colour) for key, colour in value.items())
        elif isinstance(value, str):
            yield name, value


def _to_theme(name: str, file: ThemeFile) -> Theme:
    variables = {
        "room-muted": file.muted,
        "room-faint": file.faint,
        "room-cursor": file.cursor,
        "room-selection": file.selection,
        "input-cursor-background": file.cursor,
        "input-selection-background": file.selection,
        "block-cursor-background": file.panel,
        "block-cursor-foreground": file.foreground,
        "block-cursor-text-style": "bold",
        "scrollbar": file.faint,
        "scrollbar-hover": file.muted,
        "scrollbar-active": file.accent,
        "scrollbar-background": file.background,
        "scrollbar-background-hover": file.background,
        "scrollbar-background-active": file.background,
        "scrollbar-corner-color": file.background,
        "border": file.accent,
        "border-blurred": file.faint,
    }
    if file.origin is not None:
        variables |= {f"origin-{origin}": getattr(file.origin, origin) for origin in ORIGINS}
    return Theme(
        name=name,
        dark=file.dark,
        primary=file.primary or file.accent,
        secondary=file.secondary,
        warning=file.warning,
        error=file.error,
        success=file.success,
        accent=file.accent,
        foreground=file.foreground,
        background=file.background,
        surface=file.surface,
        panel=file.panel,
        variables={key: value for key, value in variables.items() if value is not None},
    )


def _readable(colour: Color, foreground: Color, behind: tuple[Color, ...], ratio: float) -> Color:
    """`colour`, blended towards `foreground` until it has `ratio` against everything `behind` it."""
    for step in range(11):
        blended = colour.blend(foreground, step / 10)
        if all(contrast(blended, background) >= ratio for background in behind):
            return blended
    return foreground


def _luminance(colour: Color) -> float:
    def linear(channel: int) -> float:
        value = channel / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = colour.rgb
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
