"""A model with an adapter in its weights as one GGUF file, for llama.cpp and the programs built on it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from storyteller.atomic import temporary_beside
from storyteller.disk import sync_directory
from storyteller.engine.gguf_file import DTYPES, write_gguf
from storyteller.errors import AdapterError, UserError
from storyteller.training.adapters.merge import merge, require_free
from storyteller.training.adapters.publish import folder_to_be, sync_path

if TYPE_CHECKING:
    from pathlib import Path


def export_gguf(model: Path, adapter: Path, file: Path, dtype: str = "F16") -> Path:
    """Merge the adapter in folder `adapter` into the model in folder `model` and write it to `file`.

    The merged model stands beside `file` for a while, in float32.

    Args:
        model: a GPT-2 in plain weights.
        adapter: in PEFT's layout.
        file: must not be there yet.
        dtype: of products and embedding: F32, F16, Q8_0 or Q4_0.

    Returns:
        `file`.

    Raises:
        UserError: the package gguf is missing, or there is no such dtype.
        AdapterError: as `merge.merge`, or `file` is taken.
        ModelError: the model cannot be read, or llama.cpp has no such model.
        OSError: the disk failed. `file` is there in full or not at all.
    """
    if find_spec("gguf") is None:
        raise UserError(
            "GGUF files are written by the package gguf: pip install gguf.",
            title="gguf is not installed",
        )
    if dtype not in DTYPES:
        raise UserError(f"{dtype[:40]!r} is no dtype of a GGUF file; there are {', '.join(DTYPES)}.")
    if file.is_dir():
        raise AdapterError(f"{file} is a folder; give a file's name.", title="Nothing was written")
    require_free(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    target = file.absolute()
    with folder_to_be(target) as scratch:
        merged = merge(model, adapter, scratch / "merged")
        with temporary_beside(target, mode=0o666) as temporary:
            write_gguf(merged, temporary.path, dtype)
            sync_path(temporary.path)
            temporary.become(target)
    sync_directory(target.parent)
    return file
