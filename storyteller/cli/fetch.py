"""Fetches a GPT-2 from the Hugging Face hub: only safetensors, JSON and text, hashes checked, noted beside the model.

A fetch that is interrupted leaves a hidden `.NAME.partial` folder, and the next one goes on from its last byte.
The model appears under its name only when it is whole.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.atomic import write_atomic
from storyteller.cli.hub import Repository, Wanted, disk_failed
from storyteller.cli.streams import notice
from storyteller.cli.verification import hash_file
from storyteller.engine.catalogue import folder_name, hub_name, is_repo_name
from storyteller.engine.model_folder import RECORD, Record, RecordedFile, check_folder, read_config, record_of
from storyteller.errors import ModelError
from storyteller.paths import models_dir

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_SUFFIXES: Final = (".safetensors", ".json", ".txt")
_TITLE: Final = "The model could not be fetched"


def fetch(name: str, revision: str | None, *, again: bool = False) -> Path:
    """The folder with model `name`, fetched now unless it is here, whole, and of that revision.

    Args:
        name: what the hub calls it, or short for that.
        revision: a branch, tag or commit; None is the newest.
        again: compare what is here with the hub, file by file, and fetch what differs.

    Raises:
        ModelError, UserError: no such model, not a GPT-2, no safetensors, or a file that is not what the hub says.
        StorytellerError: the network, the hub or the disk fails.
    """
    if not is_repo_name(name):
        raise ModelError(f"{name!r} is no model's name; one is gpt2-large, or OWNER/NAME.")
    folder = models_dir() / folder_name(name)
    known = record_of(folder)
    is_wanted = revision is None or (known is not None and known.revision == revision)
    if not again and is_wanted and _is_whole(folder):
        notice(f"{name} is here already; --again compares it with the hub.")
        return folder
    if folder.exists() and known is None:
        raise ModelError(f"{folder} was not fetched by storyteller. Move it away first.", title=_TITLE)
    repository = Repository(known.repo if known else hub_name(name), "model", title=_TITLE)
    commit, files = _listing(repository, revision)
    partial = folder.with_name(f".{folder.name}.partial")
    _make(partial, folder, {file.name for file in files})
    repository.check_space(partial, files)
    for file in _in_order(files):
        repository.download(commit, file, partial / file.name)
        if file.name == "config.json":
            read_config(partial)  # another kind of model is refused before its gigabytes come
    _finish(partial, folder, Record(repository.name, commit, _recorded(partial, files)))
    return folder


def _listing(repository: Repository, revision: str | None) -> tuple[str, list[Wanted]]:
    """The commit `revision` stands for, and the files of it that a GPT-2 needs."""
    commit, files = repository.listing(revision)
    files = [
        file
        for file in files
        if "/" not in file.name and file.name.endswith(_SUFFIXES) and file.name != RECORD
    ]
    if not any(file.name == "config.json" for file in files):
        raise ModelError(
            f"{repository.name} on the hub has no config.json, so it is not a model for storyteller.",
            title=_TITLE,
        )
    if not any(file.name.endswith(".safetensors") for file in files):
        raise ModelError(
            f"{repository.name} has no safetensors weights, and pickles are never opened. Look for a converted copy.",
            title=_TITLE,
        )
    return commit, files


def _in_order(files: list[Wanted]) -> Iterator[Wanted]:
    """config.json first, the largest last."""
    yield from sorted(files, key=lambda file: (file.name != "config.json", file.size))


def _recorded(partial: Path, files: list[Wanted]) -> dict[str, RecordedFile]:
    recorded = {}
    for file in files:
        known = file.hash if file.hash.startswith("sha256:") else hash_file(partial / file.name)
        recorded[file.name] = RecordedFile(
            (partial / file.name).stat().st_size, known.removeprefix("sha256:")
        )
    return recorded


def _finish(partial: Path, folder: Path, record: Record) -> None:
    try:
        write_atomic(partial / RECORD, msgspec.json.format(msgspec.json.encode(record)))
        check_folder(partial)
        before = folder.with_name(f".{folder.name}.before")
        shutil.rmtree(before, ignore_errors=True)
        if folder.exists():
            folder.rename(before)
        partial.rename(folder)
        shutil.rmtree(before, ignore_errors=True)
    except OSError as error:
        raise disk_failed(partial, error, _TITLE) from error


def _is_whole(folder: Path) -> bool:
    try:
        check_folder(folder)
    except ModelError:
        return False
    return True


def _make(partial: Path, folder: Path, names: Collection[str]) -> None:
    """The folder to fetch into: what is in `folder`, else what an interrupted fetch left, else a new one.

    What is in `folder` is there twice until the end, by links where the disk has them, so that it stays in use. Files of
    a model that are not among `names`, which the hub has now, do not come along.
    """
    try:
        if folder.exists():
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, exist_ok=True)
        for entry in folder.iterdir() if folder.exists() else ():
            if entry.name in names or not entry.name.endswith(_SUFFIXES):
                _bring(entry, partial / entry.name)
        for left in partial.iterdir():
            name = left.name.removesuffix(".part")
            if name.endswith(_SUFFIXES) and name not in names:
                left.unlink()
    except OSError as error:
        raise disk_failed(partial, error, _TITLE) from error


def _bring(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
        return
    try:
        target.hardlink_to(source)
    except OSError:  # a disk without links
        shutil.copy2(source, target)
