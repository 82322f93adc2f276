"""Checkpoints that are whole or not there: written aside, synced, sealed with sizes and hashes, and then renamed.

No pickle: tensors are safetensors, everything else is JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file

from storyteller.disk import sync_directory
from storyteller.training.adapters.layout import save_synced
from storyteller.training.adapters.publish import write_synced
from storyteller.training.run_folder import CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

T = TypeVar("T")

_SEAL: Final = "COMPLETE.json"
_TENSORS: Final = ".safetensors"
_KEPT: Final = 2  # checkpoints: the newest, and one in case it is damaged


class Progress(msgspec.Struct, kw_only=True):
    """Where a run is, in numbers.

    Attributes:
        step: steps done.
        best_loss, best_step: nats a token on what is held out, of the best measurement after the first.
        base_loss: of the base.
        since_best: measurements since the best one.
        micro_batch: sequences at once, after memory ran out perhaps.
        seconds: spent in training.
    """

    step: int = 0
    best_loss: float | None = None
    best_step: int = 0
    base_loss: float | None = None
    since_best: int = 0
    micro_batch: int = 0
    seconds: float = 0.0
    last_loss: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """All that is needed to go on as if nothing had happened.

    Attributes:
        adapter: as `base.adapter_tensors`; `best` the same of the best measurement.
        optimiser: the optimiser's tensors, by name.
    """

    progress: Progress
    adapter: dict[str, Tensor]
    best: dict[str, Tensor]
    optimiser: dict[str, Tensor]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `checkpoint` to `folder`/step-N, unless a whole one is there; all but it and the one before are removed.

    Raises:
        OSError: it could not be written; the ones before are as they were.
    """
    return save_step(folder, checkpoint.progress.step, checkpoint.progress, _files(checkpoint))


def save_step(
    folder: Path, step: int, progress: msgspec.Struct, files: Mapping[str, dict[str, Tensor]]
) -> Path:
    """As `save`, for any run: `files` go to NAME.safetensors, `progress` beside them.

    Raises:
        OSError: as `save`.
    """
    target = folder / f"step-{step}"
    if _sealed(target) is not None:  # never taken apart to be written again: the disk may be full by now
        return target
    aside = target.with_suffix(".tmp")
    for stale in (aside, target):
        if stale.exists():
            shutil.rmtree(stale)
    try:
        aside.mkdir(parents=True)
        for name, tensors in files.items():
            save_synced(tensors, aside / f"{name}{_TENSORS}")
        write_synced(aside / "progress.json", msgspec.json.encode(progress))
        write_synced(aside / _SEAL, msgspec.json.encode(_seal(aside)))
        sync_directory(aside)
        aside.rename(target)
        sync_directory(folder)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    _remove_all_but(folder, _up_to(folder, step)[:_KEPT])
    return target


def load_newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and the names of newer ones that are not."""
    return newest_step(folder, _checkpoint)


def newest_step(
    folder: Path, make: Callable[[bytes, dict[str, dict[str, Tensor]]], T]
) -> tuple[T | None, list[str]]:
    """As `load_newest`, for any run: `make` gets what `save_step` wrote; a ValueError or KeyError of its counts as damage."""
    damaged: list[str] = []
    for path in _by_age(folder):
        parts = _sealed(path)
        if parts is not None:
            with contextlib.suppress(ValueError, KeyError):
                return make(*parts), damaged
        damaged.append(path.name)
    return None, damaged


def remove_all(folder: Path) -> None:
    """Forget every checkpoint, finished or not."""
    _remove_all_but(folder, [])


def _remove_all_but(folder: Path, kept: Collection[Path]) -> None:
    with contextlib.suppress(FileNotFoundError):
        for path in list(folder.iterdir()):
            if CHECKPOINT.match(path.name.removesuffix(".tmp")) and path not in kept:
                shutil.rmtree(path, ignore_errors=True)


def _up_to(folder: Path, step: int) -> list[Path]:
    """Checkpoints of `step` and before, the newest first: later ones were damaged, or the run would be past them."""
    return [path for path in _by_age(folder) if int(path.name.removeprefix("step-")) <= step]


def _files(checkpoint: Checkpoint) -> dict[str, dict[str, Tensor]]:
    return {
        "adapter": checkpoint.adapter,
        "best": checkpoint.best,
        "optimiser": checkpoint.optimiser,
    }


def _checkpoint(progress: bytes, files: dict[str, dict[str, Tensor]]) -> Checkpoint:
    return Checkpoint(
        msgspec.json.decode(progress, type=Progress), files["adapter"], files["best"], files["optimiser"]
    )


def _seal(folder: Path) -> dict[str, tuple[int, str]]:
    return {path.name: size_and_hash(path) for path in sorted(folder.iterdir()) if path.name != _SEAL}


def size_and_hash(path: Path) -> tuple[int, str]:
    """A file's length in bytes, and its sha256.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return path.stat().st_size, digest


def _sealed(folder: Path) -> tuple[bytes, dict[str, dict[str, Tensor]]] | None:
    """What is in a checkpoint that is as its seal says."""
    try:
        sealed = msgspec.json.decode((folder / _SEAL).read_bytes(), type=dict[str, tuple[int, str]])
        if sealed != _seal(folder):
            return None
        progress = (folder / "progress.json").read_bytes()
        names = [name.removesuffix(_TENSORS) for name in sealed if name.endswith(_TENSORS)]
        return progress, {name: load_file(folder / f"{name}{_TENSORS}") for name in names}
    except (OSError, ValueError, SafetensorError):
        return None


def _by_age(folder: Path) -> Iterator[Path]:
    """Checkpoints, the newest first."""
    try:
        found = [(int(match[1]), path) for path in folder.iterdir() if (match := CHECKPOINT.match(path.name))]
    except OSError:
        return
    yield from (path for _, path in sorted(found, reverse=True))
