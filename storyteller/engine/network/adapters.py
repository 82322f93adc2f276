"""LoRA adapters in PEFT's layout: checked to the letter before a number of them is used, then mixed by weight.

Only two files of a folder are ever opened, `adapter_config.json` and `adapter_model.safetensors`; no pickle,
no code, no other model is ever looked for.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open

from storyteller.engine.network.model_config import product_shapes
from storyteller.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.model import LowRank, Network
    from storyteller.engine.network.model_config import ModelConfig

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
_CONFIG_LIMIT: Final = 64 * 1024  # bytes
_CONFIG_DEPTH: Final = 8
_HEADER_LIMIT: Final = 1024 * 1024  # bytes
_RANK_LIMIT: Final = 256
_SCALE_LIMIT: Final = 64.0  # alpha over rank; training uses 1 to 4
_TARGETS: Final[dict[str, frozenset[str]]] = {
    "c_attn": frozenset({"attn.c_attn"}),
    "attn.c_attn": frozenset({"attn.c_attn"}),
    "c_proj": frozenset({"attn.c_proj", "mlp.c_proj"}),
    "attn.c_proj": frozenset({"attn.c_proj"}),
    "mlp.c_proj": frozenset({"mlp.c_proj"}),
    "c_fc": frozenset({"mlp.c_fc"}),
    "mlp.c_fc": frozenset({"mlp.c_fc"}),
}
# Set to anything but nothing, these make PEFT compute something that is not a plain low-rank product.
_NOT_PLAIN: Final = (
    "use_dora", "use_rslora", "use_qalora", "use_bdlora", "lora_bias", "rank_pattern", "alpha_pattern",
    "modules_to_save", "layers_to_transform", "layer_replication", "trainable_token_indices",
    "target_parameters", "arrow_config", "alora_invocation_tokens", "velora_config", "monteclora_config",
    "kasa_config",
)  # fmt: skip
_PLAIN_BEGINNINGS: Final = (
    True,
    False,
    None,
    "gaussian",
    "orthogonal",
    "eva",
)  # the others change the base too
_FLOATS: Final = frozenset({"F32", "F16", "BF16"})
_NAME: Final = re.compile(
    r"base_model\.model\.(?:transformer\.)?h\.(0|[1-9]\d{0,3})\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)"
    r"\.lora_([AB])\.weight"
)


@dataclass(frozen=True, eq=False)
class Adapter:
    """Low-rank products for a model's weights, float32 on the CPU.

    Attributes:
        scale: alpha over rank: what `up` is multiplied by.
        layers: for each layer, from a part's name to A (inputs, rank) and B (rank, outputs).
    """

    path: Path
    rank: int
    scale: float
    layers: tuple[Mapping[str, LowRank], ...]


def load_adapter(folder: Path, config: ModelConfig) -> Adapter:
    """The adapter in `folder`, for a model of shape `config`.

    Raises:
        AdapterError: names what is missing, damaged, not understood, or does not fit the model.
    """
    settings = _read_settings(folder / CONFIG)
    rank, scale, parts = _check_settings(settings, folder / CONFIG)
    tensors = _read_tensors(folder / WEIGHTS, config, rank, parts)
    layers = tuple(
        {
            part: (tensors[layer, part, "A"].t().contiguous(), tensors[layer, part, "B"].t().contiguous())
            for part in sorted(parts)
        }
        for layer in range(config.n_layer)
    )
    return Adapter(folder, rank, scale, layers)


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
                down = torch.cat([a for a, _, _ in here], dim=1)  # (inputs, ranks)
                up = torch.cat([b * strength for _, b, strength in here], dim=0)  # (ranks, outputs)
                beside[part] = (down.to(device, dtype), up.to(device, dtype))
        layers.append(beside)
    return network.with_adapters(layers)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise AdapterError(f"{path} is missing: {path.parent} is no adapter in PEFT's layout.")
        with path.open("rb") as stream:
            data = stream.read(_CONFIG_LIMIT + 1)
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(data) > _CONFIG_LIMIT:
        raise AdapterError(f"{path} is over {_CONFIG_LIMIT // 1024} kB, which no adapter's settings need.")
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise AdapterError(f"{path} is nested too deep.") from error
    except ValueError as error:
        raise AdapterError(f"{path} is not acceptable JSON: {error}.") from error
    if not isinstance(value, dict):
        raise AdapterError(f"{path} does not hold a JSON object.")
    if _depth(value) > _CONFIG_DEPTH:
        raise AdapterError(f"{path} is nested too deep.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _check_settings(settings: dict[str, Any], path: Path) -> tuple[int, float, frozenset[str]]:
    """Rank, scale and the parts adapted, or a refusal that names the key."""
    if settings.get("peft_type") != "LORA":
        raise AdapterError(f"{path}: peft_type must be LORA, not {_shown(settings.get('peft_type'))}.")
    if settings.get("task_type") not in {"CAUSAL_LM", None}:
        raise AdapterError(f"{path}: task_type must be CAUSAL_LM, not {_shown(settings['task_type'])}.")
    if settings.get("bias", "none") != "none":
        raise AdapterError(f"{path}: bias must be none, not {_shown(settings['bias'])}.")
    for key in _NOT_PLAIN:
        if settings.get(key):
            raise AdapterError(f"{path}: {key} is set; storyteller runs plain LoRA only. Train it without.")
    for key in ("fan_in_fan_out", "inference_mode"):
        if not isinstance(settings.get(key, False), bool):
            raise AdapterError(f"{path}: {key} must be true or false, not {_shown(settings[key])}.")
    if settings.get("init_lora_weights") not in _PLAIN_BEGINNINGS:
        raise AdapterError(
            f"{path}: init_lora_weights {_shown(settings['init_lora_weights'])} changes the model's own weights, "
            "which storyteller never does. Convert the adapter to plain LoRA."
        )
    rank = settings.get("r")
    if type(rank) is not int or not 1 <= rank <= _RANK_LIMIT:
        raise AdapterError(f"{path}: r must be a whole number from 1 to {_RANK_LIMIT}, not {_shown(rank)}.")
    alpha = settings.get("lora_alpha")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 <= alpha / rank <= _SCALE_LIMIT:
        raise AdapterError(
            f"{path}: lora_alpha must be a number from 0 to {_SCALE_LIMIT:g} times r, not {_shown(alpha)}."
        )
    dropout = settings.get("lora_dropout", 0.0)
    if not isinstance(dropout, int | float) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise AdapterError(f"{path}: lora_dropout must be from 0 to 1, not {_shown(dropout)}.")
    return rank, alpha / rank, _parts(settings.get("target_modules"), path)


def _parts(targets: object, path: Path) -> frozenset[str]:
    names = [targets] if isinstance(targets, str) else targets
    if not isinstance(names, list) or not names:
        raise AdapterError(f"{path}: target_modules must name at least one of c_attn, c_proj and c_fc.")
    parts: set[str] = set()
    for name in names:
        if not isinstance(name, str) or name not in _TARGETS:
            raise AdapterError(
                f"{path}: target_modules names {_shown(name)}; storyteller adapts c_attn, c_proj and c_fc only."
            )
        parts |= _TARGETS[name]
    return frozenset(parts)


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
    if not math.isfinite(float(tensor.abs().sum())):
        raise AdapterError(f"{path}: {name} holds NaN or infinity. It is damaged, or its training failed.")
    return tensor.clone()


def _shown(value: object) -> str:
    return repr(value)[:60]
