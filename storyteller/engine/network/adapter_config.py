"""What an adapter's adapter_config.json says, key by key: plain LoRA for GPT-2, or a refusal that names the key.

Everything else in the file is ignored: the base it names, its revision, and other invitations to fetch or run. No torch.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from storyteller.errors import AdapterError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
HIGHEST_RANK: Final = 256
_CONFIG_LIMIT: Final = 64 * 1024  # bytes
_CONFIG_DEPTH: Final = 8
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


class AdapterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a plain LoRA.

    Attributes:
        rank: of every product, 1 to 256.
        alpha: over `rank` it is what the products are multiplied by.
        dropout: what it was trained with, 0 to 1; writing uses none.
        parts: the products of every block that it stands beside, by `model.PARTS`.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    parts: frozenset[str]

    @property
    def scale(self) -> float:
        """What the low-rank products are multiplied by."""
        return self.alpha / self.rank

    def to_json(self) -> bytes:
        """An adapter_config.json that peft reads, of these settings alone: no base's name, no path, no code."""
        settings = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": sorted(self.parts),
            "fan_in_fan_out": True,  # GPT-2 keeps its products as (inputs, outputs)
            "bias": "none",
            "inference_mode": True,
        }
        return (json.dumps(settings, indent=2) + "\n").encode()


def read_adapter_config(folder: Path) -> AdapterConfig:
    """The settings of the adapter in `folder`.

    Raises:
        AdapterError: adapter_config.json is missing or hostile, or asks for something that is not plain LoRA.
    """
    path = folder / CONFIG
    return _check_settings(_read_settings(path), path)


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


def _check_settings(settings: dict[str, Any], path: Path) -> AdapterConfig:
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
    if type(rank) is not int or not 1 <= rank <= HIGHEST_RANK:
        raise AdapterError(f"{path}: r must be a whole number from 1 to {HIGHEST_RANK}, not {_shown(rank)}.")
    alpha = settings.get("lora_alpha")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 <= alpha / rank <= _SCALE_LIMIT:
        raise AdapterError(
            f"{path}: lora_alpha must be a number from 0 to {_SCALE_LIMIT:g} times r, not {_shown(alpha)}."
        )
    dropout = settings.get("lora_dropout", 0.0)
    if not isinstance(dropout, int | float) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise AdapterError(f"{path}: lora_dropout must be from 0 to 1, not {_shown(dropout)}.")
    return AdapterConfig(
        rank=rank, alpha=alpha, dropout=dropout, parts=_parts(settings.get("target_modules"), path)
    )


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


def _shown(value: object) -> str:
    return repr(value)[:60]
