"""Which keys do what: the acts' defaults, the writer's `keymap.toml` over them, and one line for each mistake in it.

The file maps an act's id to a key, or to a list of keys:

    [offer]
    another = "f4"
    next = ["f8", "ctrl+n"]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from textual.binding import Binding
from textual.keys import Keys, _character_to_key

from storyteller import paths
from storyteller.errors import SettingsError
from storyteller.text import display_line
from storyteller.toml_file import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from storyteller.tui.acts.act import Act

_MODIFIERS: Final = frozenset({"ctrl", "alt", "shift", "super", "hyper", "meta"})
_KEY_NAMES: Final = frozenset(key.value.rpartition("+")[2] for key in Keys) | {f"f{n}" for n in range(1, 25)}
_SHOWN: Final = {
    "left": "←", "right": "→", "up": "↑", "down": "↓", "escape": "Esc", "tab": "Tab", "enter": "Enter",
    "space": "Space", "backspace": "⌫", "delete": "Del", "home": "Home", "end": "End", "pageup": "PgUp",
    "pagedown": "PgDn",
}  # fmt: skip


@dataclass(frozen=True)
class KeyMap:
    """What the writer's file changes, and what is wrong with it."""

    overrides: Mapping[str, str] = field(default_factory=dict)  # id -> comma-separated keys
    warnings: tuple[str, ...] = ()

    def keys(self, act: Act) -> list[str]:
        """The keys that do `act` now."""
        own = self.overrides.get(act.id)
        if own is not None:
            return own.split(",")
        taken = {key for keys in self.overrides.values() for key in keys.split(",")}
        return [key for key in act.keys.split(",") if key and key not in taken]

    def shown(self, act: Act) -> str:
        """The first key of `act` as the hint line writes it, or nothing."""
        keys = self.keys(act)
        return shown_key(keys[0]) if keys else ""


def keymap_path() -> Path:
    """Where the writer's key map is."""
    return paths.config_dir() / "keymap.toml"


def load_keymap(acts: Iterable[Act], path: Path | None = None) -> KeyMap:
    """The writer's key map. What cannot be used is left out, and said in one line each."""
    path = path or keymap_path()
    known = {act.id: act for act in acts}
    overrides: dict[str, str] = {}
    warnings: list[str] = []
    try:
        table = read_toml(path)
    except SettingsError as error:
        return KeyMap({}, (error.message,))
    for name, value in _flattened(table):
        try:
            overrides[_known_id(name, known)] = _keys(name, value)
        except SettingsError as error:
            warnings.append(f"{path.name}: {error.message}")
    overrides, lost = _settled(known, overrides)
    return KeyMap(overrides, tuple(warnings + [f"{path.name}: {line}" for line in lost]))


def bindings(acts: Iterable[Act]) -> list[Binding]:
    """One Textual binding an act, all with priority: the page's own keys come after.

    An act without keys is bound to a name no terminal sends, so that `keymap.toml` can give it one.
    """
    return [
        Binding(act.keys or f"unbound:{act.id}", f"act('{act.id}')", act.title, show=False, priority=True, id=act.id)
        for act in acts
    ]


def shown_key(key: str) -> str:
    """`ctrl+right` as `^→`."""
    *modifiers, name = key.split("+")
    shown = _SHOWN.get(name, name.upper() if len(name) == 1 or _is_function_key(name) else name.capitalize())
    marks = {"ctrl": "^", "shift": "⇧"}
    return "".join(marks.get(modifier, modifier.capitalize() + "+") for modifier in modifiers) + shown


def keymap_template(acts: Iterable[Act]) -> str:
    """A `keymap.toml` that changes nothing yet: every act with its default keys, as comments."""
    lines = [
        "# Keys of storyteller: take the # away from a line and change its keys.",
        '# A key is "ctrl+r", "f4", "alt+up", or a list of such keys.',
    ]
    group = ""
    for act in acts:
        if act.group != group:
            group = act.group
            lines += ["", f"[{group}]"]
        keys = ", ".join(f'"{key}"' for key in act.keys.split(",") if key)
        lines.append(f"# {act.id.partition('.')[2]} = [{keys}]  # {act.title}")
    return "\n".join(lines) + "\n"


def _flattened(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _known_id(name: str, known: Mapping[str, Act]) -> str:
    if name in known:
        return name
    near = get_close_matches(name, known, n=1)
    hint = f" Perhaps {near[0]}?" if near else " F1 lists what there is."
    raise SettingsError(f"there is nothing called {display_line(name[:60])}.{hint}")


def _keys(name: str, value: object) -> str:
    values = value if isinstance(value, list) else [value]
    keys = [_key(name, key) for key in values]
    if not keys:
        raise SettingsError(f"{name} needs at least one key.")
    return ",".join(keys)


def _key(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f'{name} needs a key, such as "f4" or "ctrl+r".')
    *modifiers, key = value.strip().lower().split("+")
    if len(key) == 1:
        key = _character_to_key(key) if not key.isalnum() else key
    if not _MODIFIERS.issuperset(modifiers) or not (len(key) == 1 or key in _KEY_NAMES or "_" in key):
        raise SettingsError(f'{name} = "{display_line(value[:40])}" is no key; write "f4" or "ctrl+r".')
    if not modifiers and key not in _KEY_NAMES:
        raise SettingsError(f'{name} = "{display_line(value[:40])}" would take a letter from your typing.')
    return "+".join([*sorted(modifiers), key])


def _settled(known: Mapping[str, Act], overrides: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The overrides with each key given out once, the first line of the file first, and what that took from whom."""
    owner: dict[str, str] = {}
    settled: dict[str, str] = {}
    lost: list[str] = []
    for act_id, keys in overrides.items():
        free = [key for key in keys.split(",") if owner.setdefault(key, act_id) == act_id]
        lost += [f"{key} is {owner[key]} already, not {act_id}." for key in keys.split(",") if key not in free]
        if free:
            settled[act_id] = ",".join(free)
    for act_id, act in known.items():
        if act_id not in settled:
            taken = [key for key in act.keys.split(",") if key in owner]
            lost += [f"{key} is now {owner[key]}; {act_id} has lost it." for key in taken]
    return settled, lost


def _is_function_key(name: str) -> bool:
    return name[0] == "f" and name[1:].isdigit()
