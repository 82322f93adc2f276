"""Which keys do what: the acts' defaults, the writer's `keymap.toml` over them, and one line for each mistake in it.

The file maps an act's id to a key, or to a list of keys:

    [offer]
    another = "f4"
    next = ["f8", "ctrl+n"]
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
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
_KEY_NAMES: Final = frozenset(key.value for key in Keys if len(key.value) > 1 and "+" not in key.value)
_CHARACTERS: Final = frozenset(map(_character_to_key, string.punctuation))
_SHOWN: Final = {
    "left": "←", "right": "→", "up": "↑", "down": "↓", "escape": "Esc", "tab": "Tab", "enter": "Enter",
    "space": "Space", "backspace": "⌫", "delete": "Del", "home": "Home", "end": "End", "pageup": "PgUp",
    "pagedown": "PgDn", "plus": "+",
}  # fmt: skip


@dataclass(frozen=True)
class KeyMap:
    """Which keys do which act.

    Attributes:
        table: the keys of every act by its id, none for palette only.
        moved: acts whose keys are not the default ones.
        warnings: what is wrong with the writer's file, a line each.
    """

    table: Mapping[str, tuple[str, ...]]
    moved: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    def keys(self, act: Act) -> tuple[str, ...]:
        """The keys that do `act`."""
        return self.table.get(act.id, ())

    def shown(self, act: Act) -> str:
        """The first key of `act` as the hint line writes it, or nothing."""
        return next((shown_key(key) for key in self.keys(act)), "")

    def for_textual(self, acts: Iterable[Act]) -> dict[str, str]:
        """What `App.set_keymap` needs to be told: the acts that moved, and every act that shares a key with one.

        Moving one of two bindings of a key, Textual drops both unless both are named.
        """
        by_id = {act.id: act for act in acts}
        touched = {
            (by_id[act_id].screen, key)
            for act_id in self.moved
            for key in (*_default(by_id[act_id]), *self.table[act_id])
        }
        return {
            act.id: ",".join(self.keys(act)) or _unbound(act)
            for act in by_id.values()
            if act.id in self.moved or any((act.screen, key) in touched for key in _default(act))
        }


def keymap_path() -> Path:
    """Where the writer's key map is."""
    return paths.config_dir() / "keymap.toml"


def load_keymap(acts: Iterable[Act], path: Path | None = None) -> KeyMap:
    """The defaults with the writer's file over them. What cannot be used is left out, and said in one line each."""
    path = path or keymap_path()
    known = {act.id: act for act in acts}
    overrides: dict[str, tuple[str, ...]] = {}
    wrong: list[str] = []
    try:
        table = read_toml(path)
    except SettingsError as error:
        return KeyMap({act.id: _default(act) for act in known.values()}, warnings=(error.message,))
    for name, value in _flattened(table):
        try:
            act = _known_act(name, known)
            overrides[act.id] = _keys(act, value)
        except SettingsError as error:
            wrong.append(error.message)
    settled, lost = _settled(known, overrides)
    moved = frozenset(act_id for act_id, keys in settled.items() if keys != _default(known[act_id]))
    return KeyMap(settled, moved, tuple(f"{path.name}: {line}" for line in (*wrong, *lost)))


def bindings(acts: Iterable[Act]) -> list[Binding]:
    """One Textual binding an act. None has priority: that would let a key overtake letters typed before it.

    An act without keys is bound to a name no terminal sends, so that `keymap.toml` can give it one.
    """
    return [
        Binding(act.keys or _unbound(act), f"act('{act.id}')", act.title, show=False, id=act.id)
        for act in acts
    ]


def shown_key(key: str) -> str:
    """`ctrl+right` as `^→`."""
    *modifiers, name = key.split("+")
    capital = _is_function_key(name) or (len(name) == 1 and modifiers)
    shown = _SHOWN.get(name, name.upper() if capital else name.capitalize() if len(name) > 1 else name)
    marks = {"ctrl": "^", "shift": "⇧"}
    return "".join(marks.get(modifier, modifier.capitalize() + "+") for modifier in modifiers) + shown


def keymap_template(acts: Iterable[Act]) -> str:
    """A `keymap.toml` that changes nothing yet: every act with its default keys, as comments."""
    lines = [
        "# Keys of storyteller: take the # away from a line and change its keys.",
        '# A key is "ctrl+r", "f4", "alt+up", or a list of such keys.',
    ]
    group = ""
    for act in sorted(acts, key=lambda act: act.id.partition(".")[0]):  # a table stands once in a file
        section, _, name = act.id.partition(".")
        if section != group:
            group = section
            lines += ["", f"[{group}]"]
        keys = ", ".join(f'"{key}"' for key in act.keys.split(",") if key)
        lines.append(f"# {name} = [{keys}]  # {act.title}")
    return "\n".join(lines) + "\n"


def _flattened(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _known_act(name: str, known: Mapping[str, Act]) -> Act:
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f" Perhaps {near[0]}?" if near else " F1 lists what there is."
    raise SettingsError(f"there is nothing called {display_line(name[:60])}.{hint}")


def _keys(act: Act, value: object) -> tuple[str, ...]:
    keys = tuple(_key(act, key) for key in (value if isinstance(value, list) else [value]))
    if not keys:
        raise SettingsError(f"{act.id} needs at least one key.")
    return keys


def _key(act: Act, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f'{act.id} needs a key, such as "f4" or "ctrl+r".')
    shown = f'{act.id} = "{display_line(value[:40])}"'
    *modifiers, key = re.sub(r"\+\Z", "plus", value.strip().lower()).split("+")
    if len(key) == 1 and not key.isalnum():
        key = _character_to_key(key)
    is_character = len(key) == 1 or "_" in key or key in _CHARACTERS
    if not _MODIFIERS.issuperset(modifiers) or not (is_character or key in _KEY_NAMES):
        raise SettingsError(f'{shown} is no key; write "f4" or "ctrl+r".')
    if is_character and not modifiers and act.screen == "room":
        raise SettingsError(f"{shown} would take a letter from your typing.")
    return "+".join([*sorted(modifiers), key])


def _settled(
    known: Mapping[str, Act], overrides: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The keys of every act, none given out twice, and what was lost to whom.

    Of two lines of the file the first has the key; a line of the file has it before a default. Acts that
    share a key by default (Tab keeps an offer, or asks for one) may share one here too.
    """
    settled: dict[str, tuple[str, ...]] = {}
    owners: dict[tuple[str, str], list[Act]] = {}  # by screen and key
    lost: list[str] = []
    for act_id in (*overrides, *(act_id for act_id in known if act_id not in overrides)):
        act = known[act_id]
        kept = []
        for key in overrides.get(act_id, _default(act)):
            others = owners.setdefault((act.screen, key), [])
            in_the_way = [other for other in others if not _share(act, other)]
            if in_the_way:
                lost.append(f"{key} is {in_the_way[0].id}; {act_id} goes without it.")
            else:
                kept.append(key)
                others.append(act)
        settled[act_id] = tuple(kept)
    return settled, lost


def _default(act: Act) -> tuple[str, ...]:
    return tuple(key for key in act.keys.split(",") if key)


def _share(one: Act, other: Act) -> bool:
    return not set(_default(one)).isdisjoint(_default(other))


def _unbound(act: Act) -> str:
    """A key no terminal sends, so that an act without a key can be given one."""
    return f"unbound:{act.id}"


def _is_function_key(name: str) -> bool:
    return name[0] == "f" and name[1:].isdigit()
