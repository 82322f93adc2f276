"""A GPT-2 folder in llama.cpp's own format, products and embedding in few bits as its `quantize` makes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_FILE_TYPES: Final = {"Q4_0": 2, "Q8_0": 7}  # LLAMA_FTYPE_MOSTLY_*
_PRODUCTS: Final = {
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_NORMS: Final = {"ln_1": "attn_norm", "ln_2": "ffn_norm"}
_NORMAL, _CONTROL = 1, 3  # token types


def write_gguf(folder: Path, path: Path, dtype: str) -> None:
    """Convert the model in `folder` to `path`, with weights of `dtype` (`Q4_0` or `Q8_0`).

    Raises:
        ImportError: the package gguf is missing.
        OSError: a file is missing or cannot be written.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "gpt2")
    _add_facts(writer, folder, dtype)
    _add_tokenizer(writer, folder)
    _add_tensors(writer, folder, gguf.GGMLQuantizationType[dtype])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_facts(writer: Any, folder: Path, dtype: str) -> None:
    from storyteller.engine.network.model_config import load_config

    config = load_config(folder)
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.inner)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_file_type(_FILE_TYPES[dtype])


def _add_tokenizer(writer: Any, folder: Path) -> None:
    vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    end = vocabulary["<|endoftext|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([_CONTROL if vocabulary[token] == end else _NORMAL for token in tokens])
    writer.add_token_merges([line for line in merges if line and not line.startswith("#version")])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)


def _add_tensors(writer: Any, folder: Path, kind: Any) -> None:
    import gguf
    import numpy as np
    from safetensors import safe_open

    from storyteller.engine.network.model_config import load_config

    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        prefix = "transformer." if "transformer.wte.weight" in tensors.keys() else ""  # noqa: SIM118 - no mapping

        def add(name: str, source: str, *, few_bits: bool = False, transposed: bool = False) -> None:
            array = tensors.get_tensor(prefix + source).float().numpy()
            array = np.ascontiguousarray(array.T if transposed else array)
            if few_bits:
                writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, array)

        add("token_embd.weight", "wte.weight", few_bits=True)
        add("output.weight", "wte.weight", few_bits=True)
        add("position_embd.weight", "wpe.weight")
        add("output_norm.weight", "ln_f.weight")
        add("output_norm.bias", "ln_f.bias")
        for layer in range(load_config(folder).n_layer):
            for source, name in _NORMS.items():
                for part in ("weight", "bias"):
                    add(f"blk.{layer}.{name}.{part}", f"h.{layer}.{source}.{part}")
            for source, name in _PRODUCTS.items():
                add(
                    f"blk.{layer}.{name}.weight",
                    f"h.{layer}.{source}.weight",
                    few_bits=True,
                    transposed=True,
                )
                add(f"blk.{layer}.{name}.bias", f"h.{layer}.{source}.bias")
