"""GPT-2s of the published sizes with random weights: speed and memory depend on shapes, not on what weights say.

The tokenizer is made too: all bytes, and as many pairs of bytes as there are places left.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from storyteller.paths import cache_dir

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.model_config import ModelConfig

SHAPES: Final = {  # n_embd, n_layer, n_head: "Language Models are Unsupervised Multitask Learners", table 2
    "gpt2": (768, 12, 12),
    "gpt2-medium": (1024, 24, 16),
    "gpt2-large": (1280, 36, 20),
    "gpt2-xl": (1600, 48, 25),
}
VOCABULARY: Final = 50_257
_SPREAD: Final = 0.02  # of the weights, as GPT-2's training began


def model_of_shape(shape: str) -> Path:
    """The folder of a model of `shape`, made once and kept in the cache directory (float32: 0.5 to 6.2 GB).

    Raises:
        KeyError: no such shape.
        OSError: it cannot be written.
    """
    n_embd, n_layer, n_head = SHAPES[shape]
    folder = cache_dir() / "bench" / shape
    if not (folder / "config.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{shape}-"))
        try:
            write_random_model(making, n_embd=n_embd, n_layer=n_layer, n_head=n_head)
            making.rename(folder)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    return folder


def write_random_model(
    folder: Path,
    *,
    n_embd: int,
    n_layer: int,
    n_head: int,
    vocabulary: int = VOCABULARY,
    n_positions: int = 1024,
) -> None:
    """Write a GPT-2 in the Hugging Face layout into `folder`, the same every time."""
    from safetensors.torch import save_file

    from storyteller.engine.network.model_config import load_config

    config = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": vocabulary,
        "n_positions": n_positions,
        "n_embd": n_embd,
        "n_layer": n_layer,
        "n_head": n_head,
        "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new",
        "bos_token_id": vocabulary - 1,
        "eos_token_id": vocabulary - 1,
    }
    _write_tokenizer(folder, vocabulary)
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    save_file(_random_tensors(load_config(folder)), folder / "model.safetensors", metadata={"format": "pt"})


def _random_tensors(config: ModelConfig) -> dict[str, Tensor]:
    import torch

    from storyteller.engine.network.weights import expected_shapes

    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in expected_shapes(config).items():
        if len(shape) == 2:
            tensor = torch.empty(shape).normal_(0.0, _SPREAD, generator=generator)
        else:
            tensor = torch.ones(shape) if "ln_" in name and name.endswith("weight") else torch.zeros(shape)
        tensors[f"transformer.{name}"] = tensor
    return tensors


def _write_tokenizer(folder: Path, vocabulary: int) -> None:
    """`vocab.json` and `merges.txt`: the bytes, then pairs of them, and the end of a document last."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    pairs = list(itertools.islice(itertools.product(letters, letters), vocabulary - len(letters) - 1))
    tokens = [*letters, *("".join(pair) for pair in pairs), "<|endoftext|>"]
    (folder / "vocab.json").write_text(
        json.dumps({token: number for number, token in enumerate(tokens)}), encoding="utf-8"
    )
    lines = ["#version: 0.2", *(" ".join(pair) for pair in pairs)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
