"""Weights in few bits on disk, in the layout they are read in: the second start of a model maps them.

What is here can be made again: a file that is missing, cut short or damaged is no error, and neither is a full disk.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from storyteller.disk import sync_file
from storyteller.paths import cache_dir, private_dir

if TYPE_CHECKING:
    from torch import Tensor

_FORMAT: Final = 1  # of tiles, and of how codes are chosen
_ALIGNED: Final = 64  # bytes: a vector's loads never cross two lines of the processor's cache
_ABANDONED_S: Final = 3600
_MOST_BYTES: Final = 8_000_000_000  # of all models together; the ones not opened for longest go


def cache_path(model_hash: str, bits: int) -> Path:
    """Where the weights of a model in so many bits are kept."""
    return cache_dir() / "weights" / f"{model_hash}-{bits}bit-{_FORMAT}.safetensors"


def load(path: Path) -> dict[str, Tensor] | None:
    """The tensors kept at `path`, in the file's own pages; None where there are none that can be used."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError):
        return None
    with suppress(OSError):
        path.touch()  # opened now; a directory that cannot be written is read all the same
    return tensors


def store(path: Path, tensors: dict[str, Tensor]) -> str | None:
    """Keep `tensors`, whose sizes are multiples of 64 bytes; returns a sentence for the writer where that failed."""
    try:
        private_dir(path.parent)
        _make_room(path.parent, sum(tensor.nbytes for tensor in tensors.values()))
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="storing-") as folder:
            target = Path(folder) / path.name
            save_file(tensors, target, metadata={"pad": ""})
            missing = -_data_begins(target) % _ALIGNED
            if missing:
                save_file(tensors, target, metadata={"pad": " " * missing})
            target.chmod(0o600)
            _sync(target)
            target.replace(path)
    except (SafetensorError, OSError) as error:
        return f"The model's weights in few bits could not be kept for the next start: {error}."
    return None


def _sync(path: Path) -> None:
    """Wait for the disk: a file whose name outlives a power cut and whose data does not would pass for whole."""
    with path.open("rb") as stream:
        sync_file(stream.fileno())


def _data_begins(path: Path) -> int:
    with path.open("rb") as stream:
        return 8 + int.from_bytes(stream.read(8), "little")


def _make_room(folder: Path, needed: int) -> None:
    """Let the files opened longest ago go, and what a run that was killed left behind."""
    for left in folder.glob("storing-*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:  # else another process is writing it
                shutil.rmtree(left, ignore_errors=True)
    files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    total = needed + sum(file.stat().st_size for file in files)
    for file in files:
        if total <= _MOST_BYTES:
            return
        total -= file.stat().st_size
        with suppress(OSError):
            file.unlink()
