"""The adapters on this machine, version by version: which are there, which is in use, and putting one away.

The writer's own stand in the adapters directory as `NAME/v0001`, `NAME/v0002`, …, with a file `NAME/current` that
names the one in use. Shipped ones are `NAME/` in the program's own folder and are only ever read. No torch.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.atomic import temporary_name, write_atomic
from storyteller.config import NAME_PATTERN, NO_ADAPTER
from storyteller.disk import sync_directory
from storyteller.engine.catalogue import current_version, find_adapters, model_hash
from storyteller.engine.network.adapter_config import CONFIG, WEIGHTS
from storyteller.errors import AdapterError
from storyteller.paths import adapters_dir, bundled_adapters_dir
from storyteller.training.adapters.card import CARD, README, Card, read_card

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CURRENT: Final = "current"
_NAME: Final = re.compile(NAME_PATTERN)
_VERSION: Final = re.compile(r"v[0-9]{4,9}\Z")
_OURS: Final = frozenset({CONFIG, WEIGHTS, CARD, README})


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an adapter.

    Attributes:
        version: `v0001`; empty for one that ships, or was put there by hand.
        shipped: it came with the program and stays.
        used: it is what its name means for the model asked about.
        card: None where it has none that can be read.
    """

    name: str
    version: str
    path: Path
    shipped: bool
    used: bool
    card: Card | None


def check_name(name: str) -> None:
    """Refuse what cannot name an adapter, and so could never be part of a path or of the screen's markup.

    Raises:
        AdapterError: `name` does not match `NAME_PATTERN`, or means that there is none.
    """
    if name == NO_ADAPTER:
        raise AdapterError(f"{name!r} cannot name an adapter: it stands for the model alone.")
    if not _NAME.match(name):
        raise AdapterError(
            f"{name[:60]!r} cannot name an adapter: use small letters, digits, - and _, at most 64, "
            "with a letter or digit first."
        )


def list_versions(model: Path, *, every_base: bool = False) -> list[Version]:
    """Every version of every adapter for the model in folder `model`, by name and age; with `every_base`, for any.

    Raises:
        ModelError: the model's folder cannot be read.
    """
    base, used = model_hash(model), set(find_adapters(model).values())
    found = [
        Version(
            name=name,
            version=version,
            path=folder,
            shipped=shipped,
            used=folder in used,
            card=read_card(folder),
        )
        for name, version, folder, shipped in _folders()
    ]
    return [
        one
        for one in found
        if every_base or one.used or (one.card is not None and one.card.base_hash == base)
    ]


def find_adapter(name: str, model: Path, version: str | None = None) -> Path:
    """The folder of the adapter `name` for the model in folder `model`: the version in use, or the one asked for.

    Raises:
        AdapterError: there is none; it lists those there are.
    """
    check_name(name)
    if version is not None:
        return _version_folder(name, version)
    known = find_adapters(model)
    if name not in known:
        here = ", ".join(known) or "none"
        raise AdapterError(f"There is no adapter {name!r} for this model. Here for it: {here}.")
    return known[name]


def versions(name: str) -> list[str]:
    """The versions of the writer's own adapter `name`, oldest first."""
    folder = adapters_dir() / name
    try:
        found = [entry.name for entry in folder.iterdir() if _VERSION.match(entry.name) and entry.is_dir()]
    except OSError:
        return []
    return sorted(found, key=lambda version: int(version[1:]))


def use(name: str, version: str | None = None) -> str:
    """Make `version` of the writer's own adapter `name` the one in use, the newest if None; returns which it is.

    Raises:
        AdapterError: there is no such adapter or version.
        OSError: the pointer cannot be written; the version in use is the one before.
    """
    check_name(name)
    own = versions(name)
    if not own:
        raise AdapterError(f"{name!r} has no versions to choose from: {_why_none(name)}")
    chosen = own[-1] if version is None else _version_folder(name, version).name
    point_to(adapters_dir() / name, chosen)
    return chosen


def point_to(folder: Path, version: str) -> None:
    """Let `folder/current` name `version`: all at once, and on the disk when this returns.

    Raises:
        OSError: it still names what it named before.
    """
    write_atomic(folder / CURRENT, f"{version}\n".encode())


def removable(name: str, version: str | None = None) -> list[Path]:
    """What `remove` would take away, oldest first.

    Raises:
        AdapterError: there is no such adapter or version, it ships with the program, or it is not one that
            storyteller made and so not storyteller's to remove.
    """
    check_name(name)
    own = versions(name)
    if not own:
        raise AdapterError(f"{name!r} cannot be removed: {_why_none(name)}")
    folders = [adapters_dir() / name / one for one in own]
    going = folders if version is None else [_version_folder(name, version)]
    for folder in going:
        _require_ours(folder)
    return going


def remove(name: str, version: str | None = None) -> list[Path]:
    """Remove `version` of the writer's own adapter `name`, or all of them; returns the folders that are gone.

    When the version in use goes, the newest that is left takes its place.

    Raises:
        AdapterError: as `removable`.
        OSError: the disk failed; what is left is whole.
    """
    going = removable(name, version)
    home = adapters_dir() / name
    left = [one for one in versions(name) if home / one not in going]
    if left and current_version(home) in going:
        point_to(home, left[-1])
    if not left:
        (home / CURRENT).unlink(missing_ok=True)
    for folder in going:
        _take_away(folder)
    if not left:
        with contextlib.suppress(OSError):  # something of the writer's is in it
            home.rmdir()
    sync_directory(home if home.is_dir() else home.parent)
    return going


def _take_away(folder: Path) -> None:
    """Out of sight by one rename, then file by file: whoever looks sees all of it or nothing."""
    hidden = folder.with_name(temporary_name(folder))
    folder.rename(hidden)
    for name in _OURS:
        (hidden / name).unlink(missing_ok=True)
    hidden.rmdir()


def _require_ours(folder: Path) -> None:
    strange = sorted(entry.name for entry in folder.iterdir() if entry.name not in _OURS)
    if folder.is_symlink() or folder.parent.is_symlink() or strange or read_card(folder) is None:
        why = (
            f"it holds {strange[0][:60]!r}" if strange else f"it has no {CARD} of storyteller's, or is a link"
        )
        raise AdapterError(
            f"{folder} was not made by storyteller ({why}); remove it yourself if you want to."
        )


def _version_folder(name: str, version: str) -> Path:
    own = versions(name)
    if version not in own:
        here = f"It has {', '.join(own)}." if own else _why_none(name)
        raise AdapterError(f"{name!r} has no version {version[:60]!r}. {here}")
    return adapters_dir() / name / version


def _why_none(name: str) -> str:
    if (adapters_dir() / name).is_dir():
        return f"{adapters_dir() / name} was put there by hand."
    if (bundled_adapters_dir() / name).is_dir():
        return "it ships with storyteller."
    return "there is no adapter of that name here."


def _folders() -> Iterator[tuple[str, str, Path, bool]]:
    """Every adapter's name, version and folder, and whether it ships."""
    for shelf, shipped in ((bundled_adapters_dir(), True), (adapters_dir(), False)):
        for home in _subfolders(shelf):
            if not _NAME.match(home.name):
                continue
            if (home / CONFIG).is_file():
                yield home.name, "", home, shipped
            if not shipped:
                yield from ((home.name, version, home / version, False) for version in versions(home.name))


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
