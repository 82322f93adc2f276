"""What `cuda_check` measures of one network: differences, times and kernels. Runs on the processor too, for tests."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from storyteller.bench.prompts import prompt_ids
from storyteller.bench.shapes import SHAPES, VOCABULARY
from storyteller.engine.network.cache import Branches, Trunk
from storyteller.engine.network.cuda.plan import Cut, Plan
from storyteller.engine.network.cuda.weights import CudaLinear
from storyteller.engine.network.linear import DenseLinear
from storyteller.engine.network.model import Block, Norm
from storyteller.engine.network.quantise import GROUP, Codes
from storyteller.engine.network.step import AheadStep, Rows
from storyteller.engine.sampling.on_device import DeviceDraw
from storyteller.engine.settings import SamplerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from storyteller.engine.network.linear import Linear
    from storyteller.engine.network.model import Network

_CONTEXT: Final = 256
_TIMES: Final = 50
_SHOWN: Final = 24  # kernels of a profile


@torch.inference_mode()
def differences(network: Network, rows: int, *, branches: bool) -> tuple[float, float]:
    """How far the logits of the step, and of the operators, are from those in float32, over the norm of these.

    Two tokens a row are read. Both round, the operators after each of them.

    Raises:
        TypeError: there is no step.
    """
    if network.step is None:
        raise TypeError("the network has no step")
    exact = _logits(_in_float32(network), rows, branches=branches)
    by_step = _logits(network, rows, branches=branches)
    by_operators = _logits(replace(network, step=None), rows, branches=branches)
    return _off(by_step, exact), _off(by_operators, exact)


def _off(logits: Tensor, exact: Tensor) -> float:
    return float((logits - exact).norm() / exact.norm())


def _in_float32(network: Network) -> Network:
    """The same numbers in float32, for the operators."""

    def wide(part: Linear) -> DenseLinear:
        plain = _plain(part)
        return DenseLinear(plain.weight.float(), None if plain.bias is None else plain.bias.float())

    def wide_norm(norm: Norm) -> Norm:
        return Norm(norm.weight.float(), norm.bias.float())

    blocks = tuple(
        Block(
            norm_1=wide_norm(block.norm_1),
            attention_in=wide(block.attention_in),
            attention_out=wide(block.attention_out),
            norm_2=wide_norm(block.norm_2),
            mlp_in=wide(block.mlp_in),
            mlp_out=wide(block.mlp_out),
        )
        for block in network.blocks
    )
    return replace(
        network,
        token_embedding=network.token_embedding.float(),
        position_embedding=network.position_embedding.float(),
        blocks=blocks,
        norm=wide_norm(network.norm),
        head=wide(network.head),
        step=None,
    )


def _plain(part: Linear) -> DenseLinear:
    if type(part) is not DenseLinear:
        raise TypeError(f"plain weights are needed, not a {type(part).__name__}")
    return part


def _logits(network: Network, rows: int, *, branches: bool) -> Tensor:
    vocabulary = network.config.vocab_size
    trunk = _trunk(network)
    if not branches:
        hidden = torch.cat([trunk.extend(prompt_ids(rows, vocabulary, seed)) for seed in (1, 2)])
        return torch.cat([network.logits(piece) for piece in torch.split(hidden, rows)])
    lanes = Branches(network, trunk, rows=rows, capacity=8)
    both = [lanes.extend([[token] for token in prompt_ids(rows, vocabulary, seed)]) for seed in (1, 2)]
    return torch.cat([network.logits(hidden) for hidden in both])


def _trunk(network: Network) -> Trunk:
    """A trunk that holds a prompt, as far as the window goes."""
    trunk = Trunk(network)
    trunk.extend(prompt_ids(min(_CONTEXT, network.config.n_positions // 2), network.config.vocab_size))
    return trunk


@torch.inference_mode()
def step_seconds(network: Network, rows: int, *, times: int = _TIMES) -> float:
    """One reading of `rows` tokens after a prompt, again and again without waiting for one to end."""
    trunk = _trunk(network)
    tokens = prompt_ids(rows, network.config.vocab_size, seed=1)
    length = len(trunk.ids)
    if network.step is None:

        def once() -> None:
            trunk.extend(tokens)
            trunk.truncate(length)

        return _timed(once, times, network.device)
    step, given = network.step, Rows.of_trunk(tokens, length)
    return _timed(lambda: step(given, trunk.cache, None), times, network.device)


@torch.inference_mode()
def advance_seconds(network: Network, *, times: int = _TIMES) -> float:
    """A token read and the next one drawn (top-k 40) without the host."""
    step = network.step
    if not isinstance(step, AheadStep):
        raise TypeError("the step does not go on by itself")
    trunk = _trunk(network)
    eos = network.config.vocab_size - 1
    draw = DeviceDraw(SamplerSettings(top_k=40, banned_tokens=(eos,)), (), network.device)
    chance = torch.full((), 0.5, dtype=torch.float64, device=network.device)
    step.begin(1, len(trunk.ids), trunk.cache, trunk.hidden)
    return _timed(lambda: step.advance(draw, chance), times, network.device)


def _timed(once: Callable[[], object], times: int, device: torch.device) -> float:
    """Seconds for each of `times`, on the device's own clock where it has one."""
    once()  # compiles and captures
    once()
    if device.type != "cuda":
        started = time.perf_counter()
        for _ in range(times):
            once()
        return (time.perf_counter() - started) / times
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call] # torch's own gap
    before.record()
    for _ in range(times):
        once()
    after.record()
    after.synchronize()
    return float(before.elapsed_time(after)) / 1e3 / times


def plans() -> dict[str, Plan]:
    """Other ways to cut the kernels up, by name."""
    narrow, wide = Cut(2, 256, 1), Cut(8, 256, 2)
    four_warps = Cut(8, 256, 4)
    return {
        "as it is": Plan(),
        "no pdl": Plan(pdl=False),
        "2 outputs, 1 warp": Plan(attention_in=narrow, mlp_in=narrow, head=narrow),
        "8 outputs, 2 warps": Plan(attention_in=wide, mlp_in=wide, head=wide),
        "8 outputs, 4 warps": Plan(attention_in=four_warps, mlp_in=four_warps, head=four_warps),
        "attention out: 4 outputs": Plan(attention_out=Cut(4, 256, 1)),
        "mlp out: 4 outputs": Plan(mlp_out=Cut(4, 1024, 4)),
        "mlp out: 8 warps": Plan(mlp_out=Cut(4, 1024, 8)),
        "mlp out: 2 warps": Plan(mlp_out=Cut(2, 512, 2)),
        "2 splits": Plan(splits=2),
        "8 splits of 64": Plan(splits=8, positions=64),
    }


def in_few_bits(network: Network, bits: int) -> Network:
    """`network` with random products in `bits`, each in memory of its own, and no step; the head in eight."""

    def few(part: Linear, wanted: int) -> CudaLinear:
        plain = _plain(part)
        outputs, inputs = plain.weight.shape
        codes = _random_codes(outputs, inputs, wanted, network.device)
        return CudaLinear(codes, plain.bias, network.device, network.dtype)

    blocks = tuple(
        replace(
            block,
            attention_in=few(block.attention_in, bits),
            attention_out=few(block.attention_out, bits),
            mlp_in=few(block.mlp_in, bits),
            mlp_out=few(block.mlp_out, bits),
        )
        for block in network.blocks
    )
    return replace(network, blocks=blocks, head=few(network.head, 8), step=None)


def _random_codes(outputs: int, inputs: int, bits: int, device: torch.device) -> Codes:
    shape = (outputs, inputs)
    if bits == 8:
        codes = torch.randint(-127, 128, shape, dtype=torch.int8, device=device)
        return Codes(codes, torch.full((outputs, 1), 2e-4, device=device), None, 8, inputs)
    codes = torch.randint(0, 16, shape, dtype=torch.uint8, device=device)
    scales = torch.full((outputs, -(-inputs // GROUP)), 4e-3, dtype=torch.float16, device=device)
    return Codes(codes, scales, -7.5 * scales, 4, GROUP)


@torch.inference_mode()
def transformers_seconds(shape: str, device: str, *, context: int, tokens: int = 40) -> float:
    """A token of eager transformers, bfloat16: what `tokens` more take, over their number."""
    from transformers import GPT2Config, GPT2LMHeadModel

    n_embd, n_layer, n_head = SHAPES[shape]
    config = GPT2Config(vocab_size=VOCABULARY, n_embd=n_embd, n_layer=n_layer, n_head=n_head)
    with torch.device(device):
        model = GPT2LMHeadModel(config).bfloat16()
    model.train(mode=False)
    ids = torch.tensor([prompt_ids(context, VOCABULARY)], device=device)
    mask = torch.ones_like(ids)

    def seconds(count: int) -> float:
        started = time.perf_counter()
        said = model.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            top_k=40,
            min_new_tokens=count,
            max_new_tokens=count,
            pad_token_id=0,
        )
        said.tolist()  # waits for the device
        return time.perf_counter() - started

    seconds(2)
    few = seconds(8)
    return (seconds(8 + tokens) - few) / tokens


def kernel_table(once: Callable[[], object]) -> str:
    """The kernels that `once` launches, the longest first, as torch's profiler shows them."""
    from torch.profiler import ProfilerActivity, profile

    once()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=kinds) as profiler:
        once()
    order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    table: str = profiler.key_averages().table(sort_by=order, row_limit=_SHOWN, max_name_column_width=48)
    return table
