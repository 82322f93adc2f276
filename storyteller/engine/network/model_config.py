"""What config.json says about the arithmetic of a GPT-2: honoured field by field, or refused by name.

Everything else in the file is ignored, `auto_map` and other invitations to run code among it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

from storyteller.engine.model_folder import read_config
from storyteller.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

ActivationName: TypeAlias = Literal[
    "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh",
    "gelu", "gelu_python", "quick_gelu",
    "relu", "relu2", "relu6", "silu", "swish", "tanh", "sigmoid", "mish", "linear",
]  # fmt: skip
"""Names transformers gives its activations."""

ACTIVATIONS: Final[frozenset[str]] = frozenset(get_args(ActivationName))

Size: TypeAlias = Annotated[int, Meta(ge=1, le=1 << 20)]


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of config.json that change what the model computes, with transformers' defaults."""

    vocab_size: Size = 50257
    n_positions: Annotated[int, Meta(ge=8, le=1 << 20)] = 1024
    n_embd: Size = 768
    n_layer: Annotated[int, Meta(ge=1, le=1024)] = 12
    n_head: Annotated[int, Meta(ge=1, le=1024)] = 12
    n_inner: Size | None = None
    activation_function: ActivationName = "gelu_new"
    layer_norm_epsilon: Annotated[float, Meta(gt=0.0, lt=1.0)] = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False
    tie_word_embeddings: bool = True
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head

    @property
    def inner(self) -> int:
        """Width of the MLP between its two products."""
        return self.n_inner if self.n_inner is not None else 4 * self.n_embd

    @property
    def eos(self) -> int | None:
        """The first end-of-document id that the vocabulary has room for."""
        given = self.eos_token_id if isinstance(self.eos_token_id, list) else [self.eos_token_id]
        for token in given:
            if token is not None and 0 <= token < self.vocab_size:
                return token
        return None

    def attention_scale(self, layer: int) -> float:
        """What the products of queries and keys in `layer` are multiplied by."""
        scale = self.head_dim**-0.5 if self.scale_attn_weights else 1.0
        return scale / (layer + 1) if self.scale_attn_by_inverse_layer_idx else scale


def load_config(folder: Path) -> ModelConfig:
    """The configuration of the model in `folder`.

    Raises:
        ModelError: config.json is missing or damaged, or asks for something this engine does not compute.
    """
    raw = read_config(folder)
    path = folder / "config.json"
    if raw.get("add_cross_attention"):
        raise ModelError(f"{path}: add_cross_attention is set, and storyteller runs decoders without it.")
    if raw.get("pruned_heads"):
        raise ModelError(f"{path}: pruned_heads is set, and storyteller does not run pruned models.")
    if raw.get("quantization_config"):
        raise ModelError(
            f"{path}: quantization_config is set; storyteller opens plain weights. Use the unquantised model."
        )
    activation = raw.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        raise ModelError(
            f"{path}: activation_function {str(activation)[:40]!r} is not one storyteller computes; it knows "
            f"{', '.join(sorted(ACTIVATIONS))}."
        )
    try:
        config = msgspec.convert(raw, ModelConfig)
    except msgspec.ValidationError as error:
        raise ModelError(f"{path} holds a value that cannot be used: {error}.") from error
    if config.n_embd % config.n_head:
        raise ModelError(f"{path}: n_embd {config.n_embd} does not divide by n_head {config.n_head}.")
    return config


def product_shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """The four products of a block, by `model.PARTS`: (inputs, outputs)."""
    d, inner = config.n_embd, config.inner
    return {
        "attn.c_attn": (d, 3 * d),
        "attn.c_proj": (d, d),
        "mlp.c_fc": (d, inner),
        "mlp.c_proj": (inner, d),
    }
