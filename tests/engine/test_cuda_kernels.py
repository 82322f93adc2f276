"""The Triton kernels, interpreted on the processor, against the operators they stand for."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from storyteller.engine.network.cache import Branches, Trunk
from storyteller.engine.network.cuda.plan import HEADER, ROW_SIZE, Cut, Plan
from storyteller.engine.network.cuda.step import cuda_step
from storyteller.engine.network.cuda.weights import CudaLinear, fits
from storyteller.engine.network.linear import DenseLinear
from storyteller.engine.network.model import PARTS
from storyteller.engine.network.quantise import dequantise, quantise_4, quantise_8
from storyteller.engine.protocol import Token
from storyteller.engine.sampling.on_device import UNDECIDED, DeviceDraw
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

from storyteller.engine.network.cuda.draw import kernel_draw

WIDE = Cut(16, 256, 1)  # few programs: the interpreter runs them one by one
PLAN = Plan(WIDE, WIDE, WIDE, WIDE, WIDE, splits=2, positions=16, pdl=False)


def dense(network: Network) -> Network:
    """`network`, which was packed for the processor, with weights as a GPU has them."""
    weights = random_tensors(network.config)
    blocks = []
    for index, block in enumerate(network.blocks):
        parts: dict[str, Any] = {
            field: DenseLinear(
                weights[f"h.{index}.{part}.weight"].t().contiguous(), weights[f"h.{index}.{part}.bias"]
            )
            for field, part in zip(FIELDS, PARTS, strict=True)
        }
        blocks.append(replace(block, **parts))
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
        made: list[dict[str, Any]] = [
            {field: both(getattr(block, field))[which] for field in FIELDS} for block in network.blocks
        ]
        return tuple(replace(block, **parts) for block, parts in zip(network.blocks, made, strict=True))

    few, floats = both(network.head)
    return replace(network, blocks=blocks(0), head=few), replace(network, blocks=blocks(1), head=floats)


def in_half(block: Block, dtype: torch.dtype) -> Block:
    """`block` with products of `dtype`."""
    parts: dict[str, Any] = {}
    for field in FIELDS:
        part = getattr(block, field)
        parts[field] = DenseLinear(part.weight.to(dtype), part.bias.to(dtype))
    return replace(block, **parts)


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
        blocks=tuple(in_half(block, dtype) for block in whole.blocks),
    )
    hidden, wanted = Trunk(stepped(half)).extend([3, 4]), Trunk(whole).extend([3, 4])
    assert (hidden - wanted).norm() / wanted.norm() < 0.02


@pytest.mark.parametrize(
    "settings",
    [
        SamplerSettings(top_k=40, banned_tokens=(3,), loop_guard=False),
        SamplerSettings(top_k=64, temperature=0.7, logit_bias={7: 2.0}, loop_guard=False),
        SamplerSettings(top_k=20, top_p=0.8, min_p=0.05, temperature=1.5, loop_guard=False),
        SamplerSettings(top_k=20, top_p=0.0, loop_guard=False),
        SamplerSettings(method="greedy", banned_tokens=(5, 6), loop_guard=False),
    ],
)
@pytest.mark.parametrize("vocab", [400, 3000])
def test_a_draw_by_kernels_is_the_one_by_operators(settings: SamplerSettings, vocab: int) -> None:
    by_operators = DeviceDraw(settings, (vocab - 1, vocab - 2), torch.device("cpu"))
    by_kernels = kernel_draw(by_operators, vocab)
    assert by_kernels is not None
    generator = torch.Generator().manual_seed(0)
    drawn, command = torch.zeros(2, dtype=torch.float64), torch.zeros(HEADER + ROW_SIZE, dtype=torch.int64)
    for step in range(1, 9):
        logits = 3 * torch.randn(vocab, generator=generator)
        chance = torch.rand((), generator=generator, dtype=torch.float64)
        wanted = by_operators(logits, chance)
        by_kernels.enqueue(logits, chance, drawn, command)
        assert drawn[0] == wanted[0]
        assert drawn[1] == pytest.approx(float(wanted[1]), abs=1e-5)
        assert command[HEADER:].tolist() == [int(wanted[0]), step, step, 0, 0]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_kernels_leave_to_the_host_what_operators_leave(number: float) -> None:
    draw = DeviceDraw(SamplerSettings(top_k=5, loop_guard=False), (), torch.device("cpu"))
    kernels = kernel_draw(draw, 400)
    assert kernels is not None
    drawn, command = torch.zeros(2, dtype=torch.float64), torch.zeros(HEADER + ROW_SIZE, dtype=torch.int64)
    logits = (
        torch.full((400,), number)
        if number < 0
        else torch.zeros(400).index_fill(0, torch.tensor([9]), number)
    )
    kernels.enqueue(logits, torch.tensor(0.5, dtype=torch.float64), drawn, command)
    assert drawn[0] == UNDECIDED
    assert command[HEADER] == 0


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
    assert cuda_step(network, PLAN) is None
