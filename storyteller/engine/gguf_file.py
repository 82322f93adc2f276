"""A GPT-2 folder in llama.cpp's own format: products and embedding as they are, halved, or in few bits as its `quantize` makes them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from storyteller.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.network.model_config import ModelConfig

DTYPES: Final = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7}
"""Names of the dtypes a file can be written in, and llama.cpp's numbers for such a file (LLAMA_FTYPE_*)."""

_QUANTISED: Final = frozenset({"Q4_0", "Q8_0"})
_GROUP: Final = 32  # numbers that share a scale
_PRODUCTS: Final = {
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_NORMS: Final = {"ln_1": "attn_norm", "ln_2": "ffn_norm"}
_GELU: Final = frozenset({"gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh"})
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5  # token types


def write_gguf(folder: Path, path: Path, dtype: str) -> None:
    """Convert the model in `folder` to `path`, with weights of `dtype` (one of `DTYPES`).

    Raises:
        ImportError: the package gguf is missing.
        ModelError: the folder is damaged, or llama.cpp has no such model.
        OSError: a file is missing or cannot be written.
    """
    import gguf

    from storyteller.engine.network.model_config import load_config

    config = load_config(folder)
    _require_known(config, folder, dtype)
    writer = gguf.GGUFWriter(path, "gpt2")
    try:
        _add_facts(writer, config, dtype)
        _add_tokenizer(writer, folder, config)
        _add_tensors(writer, folder, config, gguf.GGMLQuantizationType[dtype])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _require_known(config: ModelConfig, folder: Path, dtype: str) -> None:
    """Refuse what llama.cpp's GPT-2 does not compute: it would write something else without a word."""
    odd = {
        f"activation_function {config.activation_function}": config.activation_function not in _GELU,
        "scale_attn_by_inverse_layer_idx": config.scale_attn_by_inverse_layer_idx,
        "no scale_attn_weights": not config.scale_attn_weights,
    }
    for what, is_set in odd.items():
        if is_set:
            raise ModelError(f"{folder / 'config.json'}: llama.cpp has no GPT-2 with {what}.")
    if dtype in _QUANTISED and (config.n_embd % _GROUP or config.inner % _GROUP):
        raise ModelError(
            f"{folder}: {dtype} takes widths that {_GROUP} divides, and these are {config.n_embd} and "
            f"{config.inner}. Use F16."
        )


def _add_facts(writer: Any, config: ModelConfig, dtype: str) -> None:
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.inner)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_file_type(DTYPES[dtype])


def _add_tokenizer(writer: Any, folder: Path, config: ModelConfig) -> None:
    vocabulary, merges = _read_tokenizer(folder)
    tokens = dict(sorted((number, token) for token, number in vocabulary.items()))
    end = config.eos
    names = [tokens.get(number, f"[unused{number}]") for number in range(config.vocab_size)]
    kinds = [_NORMAL if number in tokens else _UNUSED for number in range(config.vocab_size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    if end is not None:
        kinds[end] = _CONTROL
        writer.add_bos_token_id(end)
        writer.add_eos_token_id(end)
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)


def _read_tokenizer(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Ids by token and the merges in order, from vocab.json and merges.txt, else from tokenizer.json."""
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    if vocab.is_file() and merges.is_file():
        lines = merges.read_text(encoding="utf-8").split("\n")
        return json.loads(vocab.read_text(encoding="utf-8")), [
            line for line in lines if line and not line.startswith("#version")
        ]
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = tokenizer["model"]
    if model.get("type") != "BPE":
        raise ModelError(
            f"{folder / 'tokenizer.json'} is no byte-level BPE, which is what llama.cpp's GPT-2 has."
        )
    added = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", ())}
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    return model["vocab"] | added, pairs


def _add_tensors(writer: Any, folder: Path, config: ModelConfig, kind: Any) -> None:
    import gguf
    import numpy as np
    import torch

    from storyteller.engine.network.device import Placement
    from storyteller.engine.network.weights import WeightFiles, expected_shapes

    place = Placement(torch.device("cpu"), torch.float32)
    with ExitStack() as stack:
        files = WeightFiles(folder, stack)
        files.check(expected_shapes(config))

        def add(name: str, source: str, *, product: bool = False, transposed: bool = False) -> None:
            array = files.raw(source, place).numpy()
            array = np.ascontiguousarray(array.T if transposed else array)
            if product:
                writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, array)

        add("token_embd.weight", "wte.weight", product=True)
        add(
            "output.weight",
            "wte.weight" if config.tie_word_embeddings else "lm_head.weight",
            product=True,
        )
        add("position_embd.weight", "wpe.weight")
        add("output_norm.weight", "ln_f.weight")
        add("output_norm.bias", "ln_f.bias")
        for layer in range(config.n_layer):
            for source, name in _NORMS.items():
                for part in ("weight", "bias"):
                    add(f"blk.{layer}.{name}.{part}", f"h.{layer}.{source}.{part}")
            for source, name in _PRODUCTS.items():
                place_of = f"h.{layer}.{source}"
                add(f"blk.{layer}.{name}.weight", f"{place_of}.weight", product=True, transposed=True)
                add(f"blk.{layer}.{name}.bias", f"{place_of}.bias")
