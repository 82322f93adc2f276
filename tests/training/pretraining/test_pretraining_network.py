"""The network that learns is transformers' GPT-2, in its loss and in every gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import GPT2LMHeadModel

from storyteller.engine.network.model_config import load_config
from storyteller.errors import ModelError
from storyteller.training.head_loss import judge
from storyteller.training.pretraining import network as networks
from storyteller.training.pretraining.network import (
    Gpt2,
    as_published,
    can_compile,
    loss_of,
    make_network,
    read_weights,
    start_of,
)
from storyteller.training.pretraining.recipe import Shape
from tests.stubs.tiny_gpt2 import VOCAB, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

CPU = torch.device("cpu")
SHAPE = Shape(width=32, layers=3, heads=4, context=64)


def windows(rows: int = 3, count: int = 20) -> Tensor:
    return torch.randint(VOCAB, (rows, count + 1), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("start"), attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)


@pytest.fixture
def network(start: Path) -> Gpt2:
    shape, config = start_of(start)
    made = Gpt2(shape, config.vocab_size)
    read_weights(made, start, config)
    return made


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 300])
def test_attention_in_blocks_is_attention(count: int) -> None:
    drawn = torch.randn(
        3, 2, 2, count, 8, generator=torch.Generator().manual_seed(count), dtype=torch.float64
    )
    learned = [part.clone().requires_grad_() for part in drawn]
    expected = [part.clone().requires_grad_() for part in drawn]
    result = networks.attention_in_blocks(*learned)
    q, k, v = expected
    plain = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(result, plain)
    ours = torch.autograd.grad(result.square().sum(), learned)
    torch.testing.assert_close(ours, torch.autograd.grad(plain.square().sum(), expected))


def test_loss_and_gradients_are_transformers_(
    start: Path, network: Gpt2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "_FEW_ROWS", 7)
    theirs: Any = GPT2LMHeadModel.from_pretrained(start, dtype=torch.float32).train()
    ids = windows()
    expected = theirs(ids[:, :-1]).logits
    expected = torch.nn.functional.cross_entropy(
        expected.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"
    )
    loss = loss_of(network, ids)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.autograd.backward([loss, expected])
    slopes = dict(theirs.transformer.named_parameters())
    for name, parameter in network.named_parameters():
        slope = slopes[name].grad
        assert parameter.grad is not None
        turned = slope.t() if name.endswith(networks._PRODUCTS) else slope
        assert torch.allclose(parameter.grad, turned, rtol=1e-3, atol=1e-4), name


def test_only_what_counts_is_summed(network: Gpt2) -> None:
    ids = windows(2)
    with torch.no_grad():
        some = loss_of(network, ids, torch.tensor([5, -3])).item()
        assert some == pytest.approx(loss_of(network, ids[:1, :6]).item(), rel=1e-5)


def test_in_bfloat16_it_is_nearly_the_same_and_learns(network: Gpt2) -> None:
    ids = windows()
    plain = loss_of(network, ids).item()
    network.precision = torch.bfloat16
    loss = loss_of(network, ids)
    torch.autograd.backward(loss)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(plain, rel=0.02)
    for name, parameter in network.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_its_first_weights_are_gpt_2_s_and_come_from_the_seed() -> None:
    first, same, other = (make_network(SHAPE, 500, torch.float32, seed) for seed in (1, 1, 2))
    for name, tensor in first.state_dict().items():
        assert tensor.equal(same.state_dict()[name])
    assert not first.wte.weight.equal(other.wte.weight)
    state = first.state_dict()
    assert float(state["wte.weight"].std()) == pytest.approx(0.02, rel=0.05)
    assert float(state["h.1.mlp.c_proj.weight"].std()) == pytest.approx(0.02 / 6**0.5, rel=0.05)
    assert not state["h.0.attn.c_attn.bias"].any()


def test_published_names_come_back(start: Path, network: Gpt2) -> None:
    theirs = GPT2LMHeadModel.from_pretrained(start, dtype=torch.bfloat16).state_dict()
    ours = as_published(network.state_dict())
    assert ours.keys() == theirs.keys() - {"lm_head.weight"}
    assert all(tensor.equal(theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize(
    "field",
    [
        {"activation_function": "relu"}, {"n_inner": 64}, {"layer_norm_epsilon": 1e-3}, {"tie_word_embeddings": False},
        {"scale_attn_by_inverse_layer_idx": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_start_that_computes_otherwise_is_refused(tmp_path: Path, field: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(field))):
        start_of(write_model(tmp_path, **field))


def test_a_start_s_shape_is_its_config_s(start: Path) -> None:
    shape, config = start_of(start)
    assert (shape, config) == (SHAPE, load_config(start))


def test_it_is_compiled_only_where_that_can_be_and_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_compile(CPU)  # the tests forbid it
    monkeypatch.delenv("STORYTELLER_COMPILE")
    monkeypatch.setattr(networks, "find_compiler", lambda: None)
    assert not can_compile(CPU)
    monkeypatch.setattr(networks, "find_compiler", lambda: "/usr/bin/c++")
    assert can_compile(CPU)
    assert not can_compile(torch.device("mps"))
    monkeypatch.setattr(networks, "find_spec", lambda _: None)
    assert not can_compile(torch.device("cuda"))


@pytest.mark.parametrize(
    ("named", "there", "compiles"),
    [
        (None, [], False),
        (None, ["c++"], False),
        (None, ["gcc"], True),
        (None, ["clang"], True),
        ("zig-cc", ["gcc"], False),
        ("zig-cc", ["zig-cc"], True),
    ],
)
def test_a_gpu_needs_a_c_compiler_as_triton_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str | None, there: list[str], compiles: bool
) -> None:
    monkeypatch.delenv("STORYTELLER_COMPILE")
    monkeypatch.setattr(networks, "find_spec", lambda _: object())
    for name in there:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    if named is not None:
        monkeypatch.setenv("CC", named)
    assert can_compile(torch.device("cuda")) is compiles


@pytest.mark.slow
def test_compiled_it_is_the_same(network: Gpt2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORYTELLER_COMPILE")
    if not can_compile(CPU):
        pytest.skip("no C++ compiler is installed")
    ids = windows()
    plain = loss_of(network, ids)
    torch.autograd.backward(plain)
    slopes = {
        name: value.grad.clone() for name, value in network.named_parameters() if value.grad is not None
    }
    network.zero_grad()
    networks.compile_network(network)
    assert network.judged is not judge
    loss = loss_of(network, ids)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    for name, value in network.named_parameters():
        assert value.grad is not None
        assert torch.allclose(value.grad, slopes[name], rtol=1e-3, atol=1e-4), name
