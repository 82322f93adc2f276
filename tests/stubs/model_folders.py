"""Model folders in the Hugging Face layout, whole and small: a few bytes of weights, for tests that never decode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONFIG = {
    "model_type": "gpt2",
    "n_embd": 4,
    "n_layer": 1,
    "n_head": 1,
    "n_positions": 8,
    "vocab_size": 2,
    "layer_norm_epsilon": 1e-5,
    "activation_function": "gelu_new",
}


def safetensors_bytes(data: bytes, name: str = "wte.weight") -> bytes:
    """A safetensors file with one tensor of bytes."""
    header = json.dumps(
        {name: {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + data


def make_model(folder: Path, *, weights: bytes = b"weights!", config: dict[str, Any] | None = None) -> Path:
    """A folder that looks like a whole GPT-2."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors_bytes(weights))
    return folder


def make_cached_model(
    cache: Path, repo: str, *, revision: str = "a" * 40, weights: bytes = b"cached!!"
) -> Path:
    """A model as the hub's library caches it: snapshots of symbolic links to blobs. Returns the snapshot."""
    repository = cache / f"models--{repo.replace('/', '--')}"
    snapshot = repository / "snapshots" / revision
    original = make_model(repository / "made", weights=weights)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir(exist_ok=True)
    for file in original.iterdir():
        blob = repository / "blobs" / _etag(file)
        file.replace(blob)
        (snapshot / file.name).symlink_to(Path("../..") / "blobs" / blob.name)
    original.rmdir()
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(revision)
    return snapshot


def make_adapter(folder: Path, *, base_hash: str | None = None) -> Path:
    """A folder that looks like a LoRA adapter."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(safetensors_bytes(b"lora"))
    if base_hash is not None:
        (folder / "card.json").write_text(json.dumps({"base_hash": base_hash}))
    return folder


def _etag(file: Path) -> str:
    import hashlib

    data = file.read_bytes()
    if file.suffix == ".safetensors":
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
