"""Sampler settings by name: the ones that ship, and the writer's own beside the other settings."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from storyteller.config import NAME_PATTERN
from storyteller.engine.explain import allowed, explain
from storyteller.engine.settings import SamplerSettings
from storyteller.engine.sliders import draw_preset, from_sliders
from storyteller.errors import SettingsError
from storyteller.paths import assets_dir, config_dir
from storyteller.text import display_line
from storyteller.toml_file import read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "Preset",
    "allowed",
    "draw_preset",
    "explain",
    "find_preset",
    "from_sliders",
    "load_presets",
    "presets_path",
    "shipped_presets",
]

_NAME: Final = re.compile(NAME_PATTERN)
_ABOUT_LIMIT: Final = 200
_DEEPEST: Final = 32
_FIELDS: Final = {field.name: field.type for field in msgspec.structs.fields(SamplerSettings)}


class Preset(msgspec.Struct, frozen=True):
    """Settings with a name and one line about them."""

    name: str
    about: str
    settings: SamplerSettings


class _Table(msgspec.Struct, frozen=True):
    """A preset as it stands in a file, its values still to be checked."""

    path: Path
    values: dict[str, object]


def presets_path() -> Path:
    """Where the writer's own presets are."""
    return config_dir() / "presets.toml"


def shipped_presets() -> dict[str, Preset]:
    """The presets that come with the program, in their order."""
    shipped = _tables(assets_dir() / "presets.toml")
    return {name: _resolve(name, shipped, {}, ()) for name in shipped}


def load_presets() -> dict[str, Preset]:
    """The shipped presets, in their order, then the writer's; one of the writer's replaces a shipped one of its name.

    Raises:
        SettingsError: the writer's file is not usable; it names the file, the preset, the key and what is allowed.
    """
    shipped = shipped_presets()
    own = _tables(presets_path())
    return shipped | {name: _resolve(name, own, shipped, ()) for name in own}


def find_preset(name: str, presets: Mapping[str, Preset] | None = None) -> Preset:
    """The preset called `name`.

    Raises:
        SettingsError: there is none; it lists those there are.
    """
    presets = load_presets() if presets is None else presets
    if name in presets:
        return presets[name]
    raise SettingsError(
        f"There is no preset “{display_line(name[:80])}”.{_perhaps(name, presets)} There are {', '.join(presets)}."
    )


def _tables(path: Path) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    for name, values in read_toml(path).items():
        shown = display_line(name[:80])
        if not _NAME.match(name):
            raise SettingsError(
                f"{path}: “{shown}” cannot name a preset; use small letters, digits, - and _, at most 64, "
                "with a letter or digit first."
            )
        if not isinstance(values, dict):
            raise SettingsError(
                f"{path}: “{shown}” stands outside a preset; write [{shown}] above its settings."
            )
        tables[name] = _Table(path, values)
    return tables


def _resolve(
    name: str, tables: Mapping[str, _Table], shipped: Mapping[str, Preset], above: tuple[str, ...]
) -> Preset:
    """The preset of `tables[name]`, its bases first; `above` are the presets that led here."""
    table = tables[name]
    where = f"{table.path}: preset {name}"
    base = _base(name, where, tables, shipped, above)
    settings = base.settings if base is not None else SamplerSettings()
    about = base.about if base is not None else ""
    changes: dict[str, object] = {}
    for key, value in table.values.items():
        if key == "about":
            about = _about(value, where)
        elif key != "base":
            changes[key] = _setting(key, value, where)
    return Preset(name, about, replace(settings, **changes))


def _base(
    name: str, where: str, tables: Mapping[str, _Table], shipped: Mapping[str, Preset], above: tuple[str, ...]
) -> Preset | None:
    if "base" not in tables[name].values:
        return None
    base = tables[name].values["base"]
    if base == name and name in shipped:
        return shipped[name]
    if not isinstance(base, str) or base not in {*tables, *shipped}:
        known = sorted({*tables, *shipped} - {name})
        raise SettingsError(
            f"{where}: base is {_shown(base)}, which is no preset.{_perhaps(base, known)} "
            f"It may be one of {', '.join(known)}."
        )
    if base not in tables:
        return shipped[base]
    line = (*above, name)
    if len(line) > _DEEPEST:
        raise SettingsError(
            f"{where}: over {_DEEPEST} presets are each the base of another; shorten that line."
        )
    if base in line:
        circle = " → ".join((*line[line.index(base) :], base))
        raise SettingsError(f"{where}: its bases go in a circle, {circle}; give one of them no base.")
    return _resolve(base, tables, shipped, line)


def _about(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > _ABOUT_LIMIT or display_line(value) != value:
        raise SettingsError(
            f"{where}: about is {_shown(value)}, but it may only be one line of text of at most {_ABOUT_LIMIT} characters."
        )
    return value


def _setting(key: str, value: object, where: str) -> object:
    if key not in _FIELDS:
        raise SettingsError(
            f"{where}: there is no setting “{display_line(key[:80])}”.{_perhaps(key, _FIELDS)} "
            f"There are {', '.join(('about', 'base', *_FIELDS))}."
        )
    try:
        converted: object = msgspec.convert(value, _FIELDS[key], str_keys=True)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"{where}: {key} is {_shown(value)}, but it may only be {allowed(key)}."
        ) from error
    return converted


def _perhaps(word: object, known: Mapping[str, object] | list[str]) -> str:
    near = get_close_matches(word[:80], known, n=1) if isinstance(word, str) else []
    return f" Perhaps {near[0]}?" if near else ""


def _shown(value: object) -> str:
    """The value in a message: short, and without anything that moves a cursor."""
    text = display_line(f"“{value[:80]}”" if isinstance(value, str) else repr(value))
    return text if len(text) <= 90 else f"{text[:88]}…"
