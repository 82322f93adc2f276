"""What can be known of a model folder without loading it: is it whole, what identifies it, which hashes it should have.

No torch here: `doctor`, `models` and the app ask before any engine starts. The loader checks the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from storyteller.errors import ModelError
from storyteller.paths import starter_model_dir

RECORD: Final = "download.json"
"""Written beside a model by `storyteller models get`: where it came from, and each file's size and sha256."""

_CONFIG_LIMIT: Final = 1_000_000
_HEADER_LIMIT: Final = 100_000_000  # safetensors' own
_INDEX: Final = "model.safetensors.index.json"
_SINGLE: Final = "model.safetensors"
_PICKLES: Final = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth")
# The fields of config.json that change the arithmetic; the others differ between copies of one model.
_ARITHMETIC: Final = (
    "activation_function", "add_cross_attention", "layer_norm_epsilon", "n_embd", "n_head", "n_inner",
    "n_layer", "n_positions", "reorder_and_upcast_attn", "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights", "tie_word_embeddings", "vocab_size",
)  # fmt: skip
_SLICES: Final = 32
_SLICE: Final = 4096


class RecordedFile(msgspec.Struct, frozen=True):
    """What a file was when it was fetched."""

    size: int
    sha256: str


class Record(msgspec.Struct, frozen=True):
    """Where a model folder came from."""

    repo: str
    revision: str
    files: dict[str, RecordedFile]


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json, known to be a GPT-2's.

    Raises:
        ModelError: no such folder, no readable config.json, or another kind of model.
    """
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}. `storyteller models list` shows the models here.")
    path = folder / "config.json"
    try:
        config = _read_json(path)
    except FileNotFoundError as error:
        raise ModelError(f"{folder} has no config.json, so it is not a model folder.") from error
    kind = config.get("model_type", "gpt2" if "n_embd" in config else "unknown")
    if kind != "gpt2":
        raise ModelError(
            f"{folder} holds a model of type {str(kind)[:40]!r}; storyteller opens GPT-2 models."
        )
    return config


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the folder: the one, or every shard its index names; empty when there are none.

    Raises:
        ModelError: the index cannot be read, or names something outside the folder.
    """
    if (folder / _SINGLE).exists():
        return [folder / _SINGLE]
    try:
        index = _read_json(folder / _INDEX, limit=50_000_000)
    except FileNotFoundError:
        return []
    shards = index.get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ModelError(f"{folder / _INDEX} names no weights.")
    names = sorted({str(name) for name in shards.values()})
    for name in names:
        if name != Path(name).name or not name.endswith(".safetensors"):
            raise ModelError(f"{folder / _INDEX} names {name!r}, which is not a weights file of its folder.")
    return [folder / name for name in names]


def check_folder(folder: Path) -> None:
    """Whether `folder` can be a whole GPT-2: config, tokenizer, weights of the length their headers say.

    Reads headers only. A folder whose only weights are pickles passes: the loader refuses those, with the way
    to convert them.

    Raises:
        ModelError: names the file, and the hash it should have where one is known.
    """
    read_config(folder)
    if not (folder / "tokenizer.json").exists() and not (
        (folder / "vocab.json").exists() and (folder / "merges.txt").exists()
    ):
        raise ModelError(f"{folder} has no tokenizer: tokenizer.json, or vocab.json and merges.txt.")
    files = weight_files(folder)
    if not files and not has_pickles(folder):
        raise ModelError(f"{folder} has no weights: {_SINGLE} is missing.{_hash_hint(folder / _SINGLE)}")
    for file in files:
        _check_length(file)


def has_pickles(folder: Path) -> bool:
    """Whether the folder holds weights in pickle files, which are never opened."""
    return any((folder / name).exists() for name in _PICKLES)


def model_hash(folder: Path) -> str:
    """A name for the weights in `folder`, 32 hex digits, in milliseconds: what an adapter's card calls its base.

    blake2b over the configuration fields that change the arithmetic and, for each weights file, its length,
    its header and 32 evenly spaced slices of 4 kB: two models that differ in any training differ here, and a
    copy of a model elsewhere keeps its hash. It guards against mistakes, not against forgery; `models verify`
    reads every byte.

    Raises:
        ModelError: the folder cannot be read.
    """
    config = read_config(folder)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([config.get(field) for field in _ARITHMETIC]).encode())
    for file in weight_files(folder):
        try:
            _digest_file(digest, file)
        except OSError as error:
            raise ModelError(f"{file} cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest()


def record_of(folder: Path) -> Record | None:
    """What was noted when the folder was fetched; None where nothing was, or it cannot be read."""
    try:
        data = (folder / RECORD).read_bytes()
        return msgspec.json.decode(data, type=Record)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def expected_hash(file: Path) -> str | None:
    """The hash `file` should have: `sha256:` from the record, or `sha256:`/`git:` from the hub cache's blob name."""
    record = record_of(file.parent)
    if record is not None and file.name in record.files:
        return f"sha256:{record.files[file.name].sha256}"
    if not file.is_symlink():
        return None
    blob = file.readlink().name
    if not all(character in "0123456789abcdef" for character in blob):
        return None
    return {64: f"sha256:{blob}", 40: f"git:{blob}"}.get(len(blob))


def _check_length(file: Path) -> None:
    """Refuse a safetensors file that is missing, empty, cut short or longer than its header says."""
    if file.exists() and not file.is_file():
        raise ModelError(f"{file} is not a regular file.")
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = stream.read(length) if length <= min(size, _HEADER_LIMIT) else b""
    except FileNotFoundError as error:
        raise ModelError(f"{file} is missing.{_hash_hint(file)}") from error
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror or error}.") from error
    expected = _end_of_data(header)
    if size < 8 or expected is None:
        raise ModelError(f"{file} is damaged: {size} bytes without a safetensors header.{_hash_hint(file)}")
    if size != 8 + length + expected:
        raise ModelError(
            f"{file} is damaged: {size} bytes where its header says {8 + length + expected}.{_hash_hint(file)}"
        )


def _end_of_data(header: bytes) -> int | None:
    """Where the last tensor ends, counted from the header's end; None where the header is no safetensors header."""
    try:
        tensors = msgspec.json.decode(header, type=dict[str, dict[str, Any]])
        ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
        return max(ends) if ends and all(type(end) is int for end in ends) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, KeyError, IndexError):
        return None


def _hash_hint(file: Path) -> str:
    known = expected_hash(file)
    expected = f" Its hash should be {known}." if known else ""
    if file.parent == starter_model_dir():
        return f"{expected} Install storyteller again."
    return f"{expected} Fetch the model again with `storyteller models get`."


def _digest_file(digest: hashlib.blake2b, file: Path) -> None:
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        length = int.from_bytes(stream.read(8), "little")
        if length > min(size, _HEADER_LIMIT):
            raise ModelError(f"{file} is damaged: no safetensors header.{_hash_hint(file)}")
        digest.update(size.to_bytes(8, "little"))
        digest.update(stream.read(length))
        start = 8 + length
        for part in range(_SLICES):
            stream.seek(start + max(0, size - start - _SLICE) * part // (_SLICES - 1))
            digest.update(stream.read(_SLICE))


def _read_json(path: Path, limit: int = _CONFIG_LIMIT) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():
            raise ModelError(f"{path} is not a regular file.")
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise ModelError(f"{path} is over {limit // 1_000_000} MB, which no model needs.")
        value = json.loads(data)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON. Fetch the model again.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} does not hold a JSON object. Fetch the model again.")
    return value
