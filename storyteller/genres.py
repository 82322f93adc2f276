"""The genres a writer can write in: shipped ones from `assets/genres.toml`, the writer's own beside their settings."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta

from storyteller.atomic import write_atomic
from storyteller.config import NAME_PATTERN, NO_ADAPTER, Name
from storyteller.errors import SettingsError
from storyteller.paths import assets_dir, config_dir
from storyteller.toml_file import read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME: Final = re.compile(NAME_PATTERN)


class Genre(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A genre: how it is written, and how texts of it become training documents.

    Attributes:
        name: what `--genre` takes and what its adapter is called.
        title: what the screen says.
        preset: the sampler settings it starts with.
        prompt_hint: text the model is shown before the page, to set the tone; may be empty.
        keep_line_breaks: a line break is part of the text, not a matter of width.
        end_documents: a document is a whole piece: the model learns where it ends.
        keep_indentation: leading blanks mean something.
        corpus: the corpus `train` uses when none is named.
    """

    name: Name
    title: Annotated[str, Meta(min_length=1, max_length=80)]
    preset: Name = "balanced"
    prompt_hint: Annotated[str, Meta(max_length=2000)] = ""
    keep_line_breaks: bool = False
    end_documents: bool = True
    keep_indentation: bool = False
    corpus: Name


def genres_path() -> Path:
    """Where the writer's own genres are."""
    return config_dir() / "genres.toml"


def shipped_genres() -> dict[str, Genre]:
    """The genres that come with the program, in their order."""
    path = assets_dir() / "genres.toml"
    return _merged({}, read_toml(path), path)


def load_genres() -> dict[str, Genre]:
    """The shipped genres and the writer's own, which may also change fields of a shipped one.

    Raises:
        SettingsError: the writer's file is not usable; it names the file, the genre and what is allowed.
    """
    path = genres_path()
    return _merged(shipped_genres(), read_toml(path), path)


def find_genre(name: str, genres: Mapping[str, Genre] | None = None) -> Genre:
    """The genre called `name`.

    Raises:
        SettingsError: not a genre's name, or no such genre; it lists those there are.
    """
    check_name(name)
    genres = load_genres() if genres is None else genres
    if name in genres:
        return genres[name]
    near = get_close_matches(name, genres, n=1)
    hint = f" Perhaps {near[0]}?" if near else ""
    raise SettingsError(f"There is no genre {name!r}; there are {', '.join(genres)}.{hint}")


def check_name(name: str) -> None:
    """Refuse what cannot name a genre, and so could never be part of a path or of the screen's markup.

    Raises:
        SettingsError: `name` does not match `NAME_PATTERN`, or cannot name the genre's adapter.
    """
    if name == NO_ADAPTER:
        raise SettingsError(f"{name!r} cannot name a genre: where an adapter is named it stands for none.")
    if not _NAME.match(name):
        raise SettingsError(
            f"{name[:60]!r} cannot name a genre: use small letters, digits, - and _, at most 64, "
            "with a letter or digit first."
        )


def add_genre(name: str, **fields: object) -> Genre:
    """Write a genre of the writer's own into their `genres.toml`, whose comments and order stay.

    Args:
        name: what it will be called.
        **fields: fields of `Genre`; what is left out has its default, and `corpus` the genre's name.

    Raises:
        SettingsError: not a genre's name, one there is already, an unusable field, or a file that is damaged or
            cannot be written.
    """
    import tomlkit

    check_name(name)
    path = genres_path()
    if name in load_genres():
        raise SettingsError(f"There is a genre {name} already; change its fields in {path}.")
    genre = _genre(name, fields, None, path)
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        table = tomlkit.table()
        for field, value in {"title": genre.title, **fields}.items():
            table.add(field, tomlkit.item(value))
        if document:
            document.add(tomlkit.nl())
        document.add(name, table)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, tomlkit.dumps(document).encode("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror or error}).") from error
    return genre


def _merged(known: dict[str, Genre], tables: dict[str, object], path: Path) -> dict[str, Genre]:
    genres = dict(known)
    for name, fields in tables.items():
        try:
            check_name(name)
        except SettingsError as error:
            raise SettingsError(f"{path}: {error.message}") from error
        if not isinstance(fields, dict):
            raise SettingsError(
                f"{path}: {name} should be a table of its own: write [{name}] above its fields."
            )
        genres[name] = _genre(name, fields, genres.get(name), path)
    return genres


def _genre(name: str, fields: dict[str, Any], known: Genre | None, path: Path) -> Genre:
    if "name" in fields:
        raise SettingsError(f"{path}: [{name}] is the name already; remove its `name` field.")
    base = msgspec.to_builtins(known) if known else {"title": name.capitalize(), "corpus": name}
    try:
        return msgspec.convert({**base, **fields, "name": name}, Genre)
    except msgspec.ValidationError as error:
        allowed = ", ".join(field for field in Genre.__struct_fields__ if field != "name")
        raise SettingsError(f"{path}: genre {name}: {error}. Its fields are {allowed}.") from error
