"""A model with an adapter in its weights, as a plain Hugging Face folder that needs neither peft nor storyteller.

The weights are read afresh from the model's own files, never from a model in memory that may be quantised, and the
folder gets its name only when its logits were seen to be those of the model with the adapter beside it.
"""

from __future__ import annotations

import contextlib
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import torch

from storyteller.disk import sync_directory
from storyteller.engine.model_folder import read_config
from storyteller.engine.network.adapters import load_adapter, mix
from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.device import Placement
from storyteller.engine.network.model_config import load_config
from storyteller.engine.network.weights import WeightFiles, expected_shapes, read_network
from storyteller.errors import AdapterError
from storyteller.training.adapters.card import README, read_card
from storyteller.training.adapters.layout import save_synced
from storyteller.training.adapters.publish import copy_synced, folder_to_be, write_synced

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.adapters import Adapter
    from storyteller.engine.network.model import Network
    from storyteller.engine.network.model_config import ModelConfig

TOLERANCE: Final = 1e-3
"""The largest difference of a logit, in float32, that a merged model may have."""

_PLACE: Final = Placement(torch.device("cpu"), torch.float32)
_PROBE: Final = 64  # tokens
_TOKENIZER: Final = (
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json",
    "added_tokens.json", "generation_config.json",
)  # fmt: skip


def merge(model: Path, adapter: Path, out: Path) -> Path:
    """Write the model in folder `model` with the adapter in folder `adapter` in its weights, float32, to `out`.

    Args:
        model: a GPT-2 in plain weights.
        adapter: in PEFT's layout.
        out: must not be there, or be an empty folder; its parent is made if need be.

    Returns:
        `out`.

    Raises:
        AdapterError: the adapter cannot be used, `out` is taken, or the logits differ by 1e-3 or more.
        ModelError: the model cannot be read, or is quantised.
        OSError: the disk failed. `out` is there in full or not at all.
    """
    config = load_config(model)
    loaded = load_adapter(adapter, config)
    require_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with folder_to_be(out.absolute()) as temporary:
        _write_weights(model, config, loaded, temporary / "model.safetensors")
        write_synced(temporary / "config.json", _config_json(model))
        for name in _TOKENIZER:
            if (model / name).is_file():
                copy_synced(model / name, temporary / name)
        write_synced(temporary / README, _readme(model, adapter).encode())
        require_equal(model, loaded, temporary)
        sync_directory(temporary)
        with contextlib.suppress(FileNotFoundError):
            out.rmdir()
        temporary.rename(out)
    sync_directory(out.absolute().parent)
    return out


def require_free(out: Path) -> None:
    """See that nothing would be written over.

    Raises:
        AdapterError: `out` is there and is no empty folder.
    """
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise AdapterError(f"{out} is there already; give another name.", title="Nothing was written")


def require_equal(model: Path, adapter: Adapter, merged: Path) -> None:
    """See that the model in `merged` computes what the model with `adapter` beside it computes.

    Raises:
        AdapterError: a logit differs by 1e-3 or more, or is no number.
    """
    expected = _logits(mix(read_network(model, load_config(model), _PLACE), [(adapter, 1.0)]))
    difference = float((_logits(read_network(merged, load_config(merged), _PLACE)) - expected).abs().max())
    if not difference < TOLERANCE:  # also where it is NaN
        raise AdapterError(
            f"The merged model's logits differ from the adapter's by {difference:.2g}, and {TOLERANCE:g} is too "
            "much: the adapter is too strong for float32. Use it beside the model instead.",
            title="The merged model was not kept",
        )


def _write_weights(model: Path, config: ModelConfig, adapter: Adapter, path: Path) -> None:
    shapes = expected_shapes(config)
    with ExitStack() as stack:
        files = WeightFiles(model, stack)
        files.check(shapes)
        tensors = {_stored_name(name): files.raw(name, _PLACE) for name in shapes}
        for layer, parts in enumerate(adapter.layers):
            for part, (down, up) in parts.items():
                name = _stored_name(f"h.{layer}.{part}.weight")
                tensors[name] = (
                    tensors[name] + down @ up * adapter.scale
                )  # (inputs, outputs), as Conv1D keeps it
        save_synced(tensors, path)


def _stored_name(name: str) -> str:
    return name if name.startswith("lm_head.") else f"transformer.{name}"


def _config_json(model: Path) -> bytes:
    """The model's settings without where it came from and without code to fetch; its weights are float32 now."""
    kept: dict[str, Any] = {
        key: value
        for key, value in read_config(model).items()
        if not key.startswith("_") and key not in {"auto_map", "torch_dtype", "dtype"}
    }
    kept |= {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "dtype": "float32"}
    return (json.dumps(kept, indent=2) + "\n").encode()


def _readme(model: Path, adapter: Path) -> str:
    card = read_card(adapter)
    name = card.name if card else adapter.name
    base = card.base if card else model.name
    return (
        f"# {base} with {name}\n\nThe model {base} with the LoRA adapter {name} merged into its weights, float32.\n\n"
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        "model = AutoModelForCausalLM.from_pretrained(THIS_FOLDER)\n"
        "tokenizer = AutoTokenizer.from_pretrained(THIS_FOLDER)\n```\n"
    )


@torch.inference_mode()
def _logits(network: Network) -> Tensor:
    """Of tokens from all over the vocabulary, (tokens, vocab)."""
    config = network.config
    count = min(_PROBE, config.n_positions)
    ids = torch.linspace(0, config.vocab_size - 1, count).long().tolist()
    return network.logits(Trunk(network).extend(ids)).float()
