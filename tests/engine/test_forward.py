"""Our forward pass against transformers', for every field of the configuration that changes arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.linear import ACTIVATIONS, DenseLinear, PackedLinear, activate, can_pack
from storyteller.engine.network.model_config import ActivationName, load_config
from tests.stubs.tiny_gpt2 import close, open_network, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

CONFIGS: list[dict[str, Any]] = [
    {},
    {"activation_function": "gelu"},
    {"activation_function": "relu"},
    {"activation_function": "gelu_pytorch_tanh"},
    {"activation_function": "quick_gelu"},
    {"n_inner": 48},
    {"layer_norm_epsilon": 1e-3},
    {"scale_attn_weights": False},
    {"scale_attn_by_inverse_layer_idx": True},
    {"reorder_and_upcast_attn": True},
    {"tie_word_embeddings": False},
    {"n_head": 1, "n_embd": 24, "n_inner": 7},
    {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True, "tie_word_embeddings": False},
]


def ids_for(folder: Path, count: int) -> list[int]:
    config = load_config(folder)
    generator = torch.Generator().manual_seed(3)
    return torch.randint(config.vocab_size, (count,), generator=generator).tolist()


def reference_logits(folder: Path, ids: list[int]) -> Tensor:
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.train(mode=False)
    with torch.inference_mode():
        logits: Tensor = model(torch.tensor([ids])).logits[0]
    return logits


def our_logits(folder: Path, ids: list[int], chunks: list[int]) -> Tensor:
    network = open_network(folder)
    trunk = Trunk(network)
    start = 0
    for size in chunks:
        trunk.extend(ids[start : start + size])
        start += size
    return network.logits(trunk.hidden[: len(ids)])


@pytest.mark.parametrize("fields", CONFIGS, ids=str)
def test_logits_equal_transformers(make_model: Callable[..., Path], fields: dict[str, Any]) -> None:
    folder = make_model(**fields)
    ids = ids_for(folder, 40)
    expected = reference_logits(folder, ids)
    assert close(our_logits(folder, ids, [40]), expected)
    assert close(our_logits(folder, ids, [17, 1, 1, 21]), expected)


def test_starter_logits_equal_transformers(starter_model: Path) -> None:
    ids = ids_for(starter_model, 300)
    expected = reference_logits(starter_model, ids)
    assert close(our_logits(starter_model, ids, [128, 128, 40, 4]), expected)


def test_a_whole_window_equals_transformers(tiny_model: Path) -> None:
    ids = ids_for(tiny_model, 64)
    assert torch.allclose(
        our_logits(tiny_model, ids, [64]), reference_logits(tiny_model, ids), atol=1e-4, rtol=0
    )


def test_half_precision_is_near_float32(starter_model: Path) -> None:
    ids = ids_for(starter_model, 60)
    exact = torch.log_softmax(our_logits(starter_model, ids, [60]), -1)
    network = open_network(starter_model, torch.bfloat16)
    trunk = Trunk(network)
    trunk.extend(ids)
    rough = torch.log_softmax(network.logits(trunk.hidden[:60]), -1)
    divergence = (exact.exp() * (exact - rough)).sum(-1)
    assert divergence.mean() < 5e-3


def test_the_window_is_a_limit(tiny_model: Path) -> None:
    trunk = Trunk(open_network(tiny_model))
    trunk.extend(list(range(64)))
    with pytest.raises(IndexError, match="65 tokens in a window of 64"):
        trunk.extend([1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 3, 130])
def test_packed_products_equal_plain_ones(dtype: torch.dtype, rows: int) -> None:
    if not can_pack(dtype):
        pytest.skip("this processor has no packed products")
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(24, 40, generator=generator) * 0.3).t().to(dtype)  # as a Conv1D's weight arrives
    bias = torch.randn(40, generator=generator).to(dtype)
    x = torch.randn(rows, 24, generator=generator).to(dtype)
    residual = torch.randn(rows, 40, generator=generator).to(dtype)
    packed, plain = PackedLinear(weight, bias), DenseLinear(weight.contiguous(), bias)
    slack = 1e-4 if dtype == torch.float32 else 0.1
    assert close(packed(x), plain(x), slack)
    assert close(packed.added(x, residual), plain.added(x, residual), slack)
    names: tuple[ActivationName, ...] = ("gelu_new", "gelu", "relu")
    for name in names:
        assert close(packed.activated(x, name), plain.activated(x, name), slack)


def test_activations_equal_transformers() -> None:
    from transformers.activations import ACT2FN

    x = torch.linspace(-6, 6, 101)
    for name in ACTIVATIONS:
        assert torch.allclose(activate(x, name), ACT2FN[name](x), atol=1e-5), name


def test_a_prefix_in_names_makes_no_difference(tmp_path: Path, tiny_model: Path) -> None:
    ids = ids_for(tiny_model, 10)
    bare = write_model(tmp_path / "bare", prefix="")
    assert torch.equal(our_logits(bare, ids, [10]), our_logits(tiny_model, ids, [10]))


def test_half_precision_keeps_apart_logits_far_from_zero(tmp_path: Path) -> None:
    """GPT-2's logits stand at -40 to -100, where bfloat16 has steps of a quarter and more."""
    folder = write_model(tmp_path, tie_word_embeddings=False, dtype=torch.float32)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["transformer.ln_f.bias"] += 3.0
    tensors["lm_head.weight"] -= 1.0  # every logit some 100 lower
    save_file(tensors, path)
    ids = ids_for(folder, 30)
    exact = our_logits(folder, ids, [30])
    assert exact.mean() < -60
    trunk = Trunk(open_network(folder, torch.bfloat16))
    hidden = trunk.extend(ids)
    rough = torch.log_softmax(open_network(folder, torch.bfloat16).logits(hidden), -1)
    exact = torch.log_softmax(exact, -1)
    plain = torch.log_softmax((hidden @ tensors["lm_head.weight"].bfloat16().t()).float(), -1)
    assert (exact - rough).abs().mean() < 0.5 * (exact - plain).abs().mean()
