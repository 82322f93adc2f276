"""Which texts a genre learns from: the paths a writer registered, else those that ship with the program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.atomic import write_atomic
from storyteller.errors import CorpusError
from storyteller.genres import check_name
from storyteller.paths import assets_dir, data_dir, private_dir
from storyteller.toml_file import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tomlkit.items import Array

    from storyteller.genres import Genre

_MANY: Final = 1000  # paths of a genre: more belong in a folder


class Entry(msgspec.Struct, frozen=True):
    """What is kept for a genre."""

    paths: tuple[str, ...] = ()


def shelf_path() -> Path:
    """Where the registered paths are kept: 0600, since they say what the writer reads."""
    return data_dir() / "corpora.toml"


def sources(genre: Genre) -> tuple[Path, ...]:
    """The writer's paths for `genre`, else the folder of the corpus it ships with; empty where there is neither.

    Raises:
        SettingsError: the file of registered paths is damaged.
    """
    own = registered(genre.name)
    if own:
        return own
    shipped = assets_dir() / "corpora" / genre.corpus
    return (shipped,) if shipped.is_dir() else ()


def registered(name: str) -> tuple[Path, ...]:
    """The paths the writer registered for the genre called `name`.

    Raises:
        SettingsError: the file of registered paths is damaged.
    """
    return tuple(map(Path, _load().get(name, Entry()).paths))


def add(name: str, paths: Sequence[Path]) -> tuple[Path, ...]:
    """Register `paths`, made absolute, for the genre called `name`, and return all of its paths.

    Raises:
        CorpusError: a path that cannot be written down, too many, or the disk refuses.
        SettingsError: `name` cannot name a genre, or the file of registered paths is damaged.
    """
    check_name(name)
    entries = _load()
    known = entries.get(name, Entry()).paths
    both = tuple(dict.fromkeys([*known, *(_written(path) for path in paths)]))
    if len(both) > _MANY:
        raise CorpusError(f"{len(both):,} paths are too many for {name}: name a folder that holds them.")
    entries[name] = Entry(both)
    _save(entries)
    return tuple(map(Path, both))


def remove(name: str, paths: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Forget `paths` of a genre, or all where none is given; the files themselves stay. Returns those forgotten.

    Raises:
        CorpusError: a path is not registered, or the disk refuses.
        SettingsError: the file of registered paths is damaged.
    """
    entries = _load()
    known = entries.get(name, Entry()).paths
    gone = tuple(dict.fromkeys(_written(path) for path in paths)) or known
    if not known:
        raise CorpusError(
            f"Nothing of yours is registered for {name}; `storyteller corpus list` shows what is."
        )
    strange = [path for path in gone if path not in known]
    if strange:
        raise CorpusError(f"{strange[0]} is not registered for {name}; there are {', '.join(known)}.")
    entries[name] = Entry(tuple(path for path in known if path not in gone))
    _save({genre: entry for genre, entry in entries.items() if entry.paths})
    return tuple(map(Path, gone))


def _written(path: Path) -> str:
    """An absolute path as text; links in it stay as the writer named them."""
    text = str(path.expanduser().absolute())
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{path!r} has a name that is not UTF-8, so it cannot be noted. Rename it."
        ) from error
    return text


def _load() -> dict[str, Entry]:
    path = shelf_path()
    try:
        return msgspec.convert(read_toml(path), dict[str, Entry])
    except msgspec.ValidationError as error:
        raise CorpusError(
            f"{path} is damaged ({error}). Mend or remove it; only its paths are lost."
        ) from error


def _in_lines(paths: Iterable[str]) -> Array:
    """One path a line: a person may mend the file, and `toml_file` reads no line that is too long."""
    import tomlkit

    lines = tomlkit.array().multiline(multiline=True)
    lines.extend(paths)
    return lines


def _save(entries: dict[str, Entry]) -> None:
    import tomlkit

    path = shelf_path()
    tables = {name: {"paths": _in_lines(entry.paths)} for name, entry in sorted(entries.items())}
    try:
        private_dir(path.parent)
        write_atomic(path, tomlkit.dumps(tables).encode("utf-8"), mode=0o600)
    except OSError as error:
        raise CorpusError(f"{path} cannot be written ({error.strerror or error}).") from error
