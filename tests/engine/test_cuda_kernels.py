"""The Triton kernels, interpreted on the processor, against the operators they stand for."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
import torch

from storyteller.engine.network.cache import Branches, Trunk
from storyteller.engine.network.cuda.plan import Cut, Plan
from storyteller.engine.network.cuda.step import cuda_step
from storyteller.engine.network.cuda.weights import CudaLinear, fits
from storyteller.engine.network.linear import DenseLinear
from storyteller.engine.network.model import PARTS
from storyteller.engine.network.quantise import dequantise, quantise_4, quantise_8
from storyteller.engine.protocol import Token
from storyteller.engine.settings import SamplerSettings
from tests.stubs.tiny_gpt2 import Room, close, open_network, random_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storyteller.engine.network.linear import Linear
    from storyteller.engine.network.model import Block, Network

pytest.importorskip("triton", reason="Triton is not installed")
if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("Triton's interpreter is off: set TRITON_INTERPRET=1", allow_module_level=True)

WIDE = Cut(16, 256, 1)  # few programs: the interpreter runs them one by one
PLAN = Plan(WIDE, WIDE, WIDE, WIDE, WIDE, splits=2, positions=16, pdl=False)


def dense(network: Network) -> Network:
    """`network`, which was packed for the processor, with weights as a GPU has them."""
    weights = random_tensors(network.config)
    blocks = []
    for index, block in enumerate(network.blocks):
        name = f"h.{index}."
        blocks.append(
            replace(
                block,
                **{  # type: ignore[arg-type] # fields that are products
                    field: DenseLinear(
                        weights[f"{name}{part}.weight"].t().contiguous(), weights[f"{name}{part}.bias"]
                    )
                    for field, part in zip(FIELDS, PARTS, strict=True)
                },
            )
        )
    return replace(network, blocks=tuple(blocks), head=DenseLinear(weights["wte.weight"], None))


FIELDS = ("attention_in", "attention_out", "mlp_in", "mlp_out")


def in_few_bits(network: Network, bits: int) -> tuple[Network, Network]:
    """`network` in `bits`, and in the floats that these bits stand for."""

    def both(part: Linear) -> tuple[Linear, Linear]:
        assert isinstance(part, DenseLinear)
        codes = quantise_8(part.weight) if bits == 8 else quantise_4(part.weight)
        assert fits(codes)
        few = CudaLinear(codes, part.bias, torch.device("cpu"), torch.float32)
        return few, DenseLinear(dequantise(codes), part.bias)

    def blocks(which: int) -> tuple[Block, ...]:
        return tuple(
            replace(block, **{field: both(getattr(block, field))[which] for field in FIELDS})  # type: ignore[arg-type] # as above
            for block in network.blocks
        )

    few, floats = both(network.head)
    return replace(network, blocks=blocks(0), head=few), replace(network, blocks=blocks(1), head=floats)


def stepped(network: Network) -> Network:
    """`network` with its kernels."""
    step = cuda_step(network, PLAN)
    assert step is not None
    return replace(network, step=step)


@pytest.fixture(scope="module")
def plain(make_model: Callable[..., Path]) -> Network:
    """Heads of 16, and products that are no powers of two."""
    return dense(open_network(make_model(n_embd=48, n_head=3, n_layer=2, n_inner=80)))


@torch.inference_mode()
def test_a_trunk_grows_as_by_operators(plain: Network) -> None:
    fast = stepped(plain)
    ours, theirs = Trunk(fast), Trunk(plain)
    for ids in ([5, 6, 7], [8], [9, 10]):
        hidden, wanted = ours.extend(ids), theirs.extend(ids)
        assert close(hidden, wanted)
        assert close(fast.logits(hidden), plain.logits(wanted))
    assert close(ours.cache.keys[..., :6], theirs.cache.keys[..., :6])
    assert close(ours.cache.values[..., :6, :], theirs.cache.values[..., :6, :])


@torch.inference_mode()
def test_branches_grow_as_by_operators(plain: Network) -> None:
    fast = stepped(plain)
    ours, theirs = Trunk(fast), Trunk(plain)
    for trunk in (ours, theirs):
        trunk.extend(list(range(20)))  # more than a step's rows: by operators
    mine = Branches(fast, ours, rows=3, capacity=4)
    yours = Branches(plain, theirs, rows=3, capacity=4)
    for tokens in ([[1], [2], [3]], [[4], [5], [6]]):
        assert close(mine.extend(tokens), yours.extend(tokens))


@torch.inference_mode()
@pytest.mark.parametrize("bits", [8, 4])
def test_few_bits_are_multiplied_as_the_floats_they_stand_for(
    make_model: Callable[..., Path], bits: int
) -> None:
    floats = dense(open_network(make_model(n_embd=128, n_head=2, n_layer=1, n_inner=256)))
    few, wanted = in_few_bits(floats, bits)
    fast = stepped(few)
    hidden, expected = Trunk(fast).extend([3, 4]), Trunk(wanted).extend([3, 4])
    assert close(hidden, expected, 1e-3)
    assert close(fast.logits(hidden), wanted.logits(expected), 1e-2)
    assert close(few.head(hidden), wanted.head(hidden), 1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near(make_model: Callable[..., Path], dtype: torch.dtype) -> None:
    whole = dense(open_network(make_model(n_embd=48, n_head=3, n_layer=1, n_inner=80)))
    half = replace(
        whole,
        token_embedding=whole.token_embedding.to(dtype),
        position_embedding=whole.position_embedding.to(dtype),
        blocks=tuple(
            replace(
                block,
                **{  # type: ignore[arg-type] # fields that are products
                    field: DenseLinear(part.weight.to(dtype), part.bias.to(dtype))
                    for field in FIELDS
                    if isinstance(part := getattr(block, field), DenseLinear) and part.bias is not None
                },
            )
            for block in whole.blocks
        ),
    )
    hidden, wanted = Trunk(stepped(half)).extend([3, 4]), Trunk(whole).extend([3, 4])
    assert (hidden - wanted).norm() / wanted.norm() < 0.02


def test_a_take_is_the_plain_one(make_model: Callable[..., Path], plain: Network) -> None:
    folder = make_model(n_embd=48, n_head=3, n_layer=2, n_inner=80)
    settings = SamplerSettings(top_k=40, loop_guard=False)
    texts = []
    for network in (plain, stepped(plain)):
        room = Room(folder)
        room.core.opened._network = network
        room.core.opened.forget()
        events = room.generate("The old", settings=settings, max_tokens=4)
        texts.append([event.token for event in events if isinstance(event, Token)])
    assert texts[0] == texts[1]
    assert len(texts[0]) >= 4


@pytest.mark.parametrize(
    "fields",
    [
        {"n_head": 4, "n_embd": 32},  # heads of 8
        {"n_head": 2, "n_embd": 48},  # heads of 24
        {"n_head": 3, "n_embd": 48, "activation_function": "relu"},
        {"n_head": 3, "n_embd": 48, "reorder_and_upcast_attn": True},
    ],
)
def test_shapes_without_kernels_are_the_operators(
    make_model: Callable[..., Path], fields: dict[str, object]
) -> None:
    assert cuda_step(open_network(make_model(n_layer=1, **fields)), PLAN) is None


def test_packed_weights_are_the_operators(make_model: Callable[..., Path]) -> None:
    network = open_network(make_model(n_embd=48, n_head=3, n_layer=2, n_inner=80))
    blocks = tuple(replace(block, mlp_in=cast("Linear", object())) for block in network.blocks)
    assert cuda_step(replace(network, blocks=blocks), PLAN) is None
