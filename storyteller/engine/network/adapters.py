"""LoRA adapters in PEFT's layout: checked to the letter before a number of them is used, then mixed by weight.

Only two files of a folder are ever opened, `adapter_config.json` and `adapter_model.safetensors`; no pickle,
no code, no other model is ever looked for.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open

from storyteller.engine.network.adapter_config import WEIGHTS, read_adapter_config
from storyteller.engine.network.model_config import product_shapes
from storyteller.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.adapter_config import AdapterConfig
    from storyteller.engine.network.model import LowRank, Network
    from storyteller.engine.network.model_config import ModelConfig

_HEADER_LIMIT: Final = 1024 * 1024  # bytes
_FLOATS: Final = frozenset({"F32", "F16", "BF16"})
_NAME: Final = re.compile(
    r"base_model\.model\.(?:transformer\.)?h\.(0|[1-9]\d{0,3})\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)"
    r"\.lora_([AB])\.weight"
)


@dataclass(frozen=True, eq=False)
class Adapter:
    """Low-rank products for a model's weights, float32 on the CPU.

    Attributes:
        config: its rank, its scale and the products it stands beside.
        layers: for each layer, from a part's name to A (inputs, rank) and B (rank, outputs).
    """

    path: Path
    config: AdapterConfig
    layers: tuple[Mapping[str, LowRank], ...]

    @property
    def rank(self) -> int:
        """The inner width of every product."""
        return self.config.rank

    @property
    def scale(self) -> float:
        """Alpha over rank: what `up` is multiplied by."""
        return self.config.scale


def load_adapter(folder: Path, config: ModelConfig) -> Adapter:
    """The adapter in `folder`, for a model of shape `config`.

    Raises:
        AdapterError: names what is missing, damaged, not understood, or does not fit the model.
    """
    settings = read_adapter_config(folder)
    parts = settings.parts
    tensors = _read_tensors(folder / WEIGHTS, config, settings.rank, parts)
    layers = tuple(
        {
            part: (_turned(tensors[layer, part, "A"]), _turned(tensors[layer, part, "B"]))
            for part in sorted(parts)
        }
        for layer in range(config.n_layer)
    )
    return Adapter(folder, settings, layers)


def mix(network: Network, adapters: Sequence[tuple[Adapter, float]]) -> Network:
    """`network` with each adapter beside it, as strong as its weight: 1 is as trained.

    Several low-rank products side by side are one of their summed rank, so a mix is exact and costs one product.
    """
    if not adapters:
        return network
    device, dtype = network.device, network.dtype
    layers = []
    for layer in range(network.config.n_layer):
        beside: dict[str, LowRank] = {}
        for part in product_shapes(network.config):
            here = [
                (*adapter.layers[layer][part], adapter.scale * weight)
                for adapter, weight in adapters
                if part in adapter.layers[layer]
            ]
            if here:
                downs = [a.to(device, dtype) for a, _, _ in here]  # (inputs, rank)
                ups = [(b * strength).to(device, dtype) for _, b, strength in here]  # (rank, outputs)
                beside[part] = (
                    (downs[0], ups[0]) if len(here) == 1 else (torch.cat(downs, dim=1), torch.cat(ups, dim=0))
                )
        layers.append(beside)
    return network.with_adapters(layers)


def _read_tensors(
    path: Path, config: ModelConfig, rank: int, parts: frozenset[str]
) -> dict[tuple[int, str, str], Tensor]:
    """Every A (rank, inputs) and B (outputs, rank), each checked, by layer, part and letter."""
    _check_header(path)
    tensors: dict[tuple[int, str, str], Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                place = _place(name, path, config, parts)
                if place in tensors:
                    raise AdapterError(f"{path} holds {_shown(name)} twice under two names.")
                tensors[place] = _checked(file, name, path, _shape(config, place, rank))
    except (SafetensorError, OSError, ValueError) as error:
        raise AdapterError(f"{path} is damaged or no safetensors file: {error}.") from error
    for layer in range(config.n_layer):
        for part in sorted(parts):
            for letter in ("A", "B"):
                if (layer, part, letter) not in tensors:
                    raise AdapterError(
                        f"{path} has no lora_{letter} for {part} of layer {layer}: it is incomplete, or was "
                        "trained on another model."
                    )
    return tensors


def _check_header(path: Path) -> None:
    try:
        if not path.is_file():
            raise AdapterError(
                f"{path} is missing. Only safetensors are opened; adapters in pickle files are refused."
            )
        size = path.stat().st_size
        with path.open("rb") as stream:
            header = int.from_bytes(stream.read(8), "little")
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {error.strerror or error}.") from error
    if size < 8 or header > size - 8:
        raise AdapterError(f"{path} is damaged: {size} bytes are less than its header says.")
    if header > _HEADER_LIMIT:
        raise AdapterError(f"{path} has a header of {header} bytes, which no adapter needs.")


def _place(name: str, path: Path, config: ModelConfig, parts: frozenset[str]) -> tuple[int, str, str]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise AdapterError(f"{path} holds {_shown(name)}, which is no part of a LoRA for GPT-2.")
    layer, part, letter = int(found[1]), found[2], found[3]
    if layer >= config.n_layer:
        raise AdapterError(
            f"{path} adapts layer {layer}, and the model has {config.n_layer}: it was trained on another model."
        )
    if part not in parts:
        raise AdapterError(f"{path} adapts {part}, which target_modules does not name.")
    return layer, part, letter


def _shape(config: ModelConfig, place: tuple[int, str, str], rank: int) -> tuple[int, int]:
    inputs, outputs = product_shapes(config)[place[1]]
    return (rank, inputs) if place[2] == "A" else (outputs, rank)


def _checked(file: Any, name: str, path: Path, shape: tuple[int, int]) -> Tensor:
    described = file.get_slice(name)
    if tuple(described.get_shape()) != shape:
        raise AdapterError(
            f"{path}: {name} has shape {described.get_shape()} where this model needs {list(shape)}: "
            "it was trained on another model, or with another rank."
        )
    if described.get_dtype() not in _FLOATS:
        raise AdapterError(f"{path}: {name} holds {described.get_dtype()} numbers; floats are needed.")
    tensor: Tensor = file.get_tensor(name).float()
    if not math.isfinite(float(tensor.sum())):
        raise AdapterError(f"{path}: {name} holds NaN or infinity. It is damaged, or its training failed.")
    return tensor


def _turned(tensor: Tensor) -> Tensor:
    """Its transpose in memory of our own: what a file lends is gone when the file is."""
    return tensor.t().clone(memory_format=torch.contiguous_format)


def _shown(value: object) -> str:
    return repr(value)[:60]
