"""An adapter becomes a version on the writer's shelf: there in full and in use, or not there at all. No torch."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from storyteller.atomic import is_orphan_name, sweep_orphans, temporary_name
from storyteller.disk import sync_directory, sync_file, write_all
from storyteller.engine.network.adapter_config import CONFIG, WEIGHTS, read_adapter_config
from storyteller.errors import AdapterError
from storyteller.paths import adapters_dir, private_dir
from storyteller.training.adapters.card import CARD, README, Card, card_json, readme
from storyteller.training.adapters.shelf import check_name, point_to, versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def publish(name: str, folder: Path, card: Card) -> Path:
    """Copy the PEFT folder `folder` as a new version of the adapter `name`, in use from now on.

    Only the settings that plain LoRA has are written, so that no path or name of the trainer's machine goes along.

    Args:
        name: matches `NAME_PATTERN`.
        folder: holds adapter_config.json and adapter_model.safetensors.
        card: written as card.json and README.md.

    Returns:
        The version's folder.

    Raises:
        AdapterError: `name` cannot be one, or `folder` holds no plain LoRA.
        OSError: nothing new is there, unless only the last step, the pointer, failed.
    """
    check_name(name)
    config = read_adapter_config(folder)
    if not (folder / WEIGHTS).is_file():
        raise AdapterError(f"{folder / WEIGHTS} is missing.")
    home = private_dir(adapters_dir() / name)
    _sweep(home)
    with folder_to_be(home / "version") as temporary:
        write_synced(temporary / CONFIG, config.to_json())
        copy_synced(folder / WEIGHTS, temporary / WEIGHTS)
        write_synced(temporary / CARD, card_json(card))
        write_synced(temporary / README, readme(card).encode())
        sync_directory(temporary)
        version = _take_next_version(home, temporary)
    sync_directory(home)
    point_to(home, version.name)
    return version


@contextlib.contextmanager
def folder_to_be(target: Path) -> Iterator[Path]:
    """A new, hidden folder beside `target`, to be filled and renamed; what is still there at the end is removed.

    Raises:
        OSError: it cannot be made.
    """
    temporary = target.with_name(temporary_name(target))
    temporary.mkdir(mode=0o700)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_synced(path: Path, data: bytes) -> None:
    """Write the new file `path` and wait until its bytes are on the disk.

    Raises:
        OSError: as the disk says.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        write_all(fd, data)
        sync_file(fd)
    finally:
        os.close(fd)


def copy_synced(source: Path, path: Path) -> None:
    """Copy the bytes of `source` into the new file `path` and wait until they are on the disk.

    Raises:
        OSError: as the disk says.
    """
    shutil.copyfile(source, path)
    sync_path(path)


def sync_path(path: Path) -> None:
    """Wait until the bytes of the file `path` are on the disk.

    Raises:
        OSError: as the disk says.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync_file(fd)
    finally:
        os.close(fd)


def _sweep(home: Path) -> None:
    """Remove what a publication or removal left here when its process was killed; never raises."""
    sweep_orphans(home)
    with contextlib.suppress(OSError):
        for entry in home.iterdir():
            if is_orphan_name(entry.name) and entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)


def _take_next_version(home: Path, temporary: Path) -> Path:
    """Rename `temporary` to the version after the newest; another process may take that one first."""
    while True:
        own = versions(home.name)
        version = home / f"v{int(own[-1][1:]) + 1 if own else 1:04}"
        try:
            temporary.rename(version)
        except OSError:
            if not version.is_dir():
                raise
            continue
        return version
