"""Codes for weights: within their range, as near as their steps allow, and fitted to what the weights will meet."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storyteller.engine.network.quantise import GROUP, Codes, dequantise, quantise_4, quantise_8

SHAPES = st.tuples(st.integers(1, 20), st.integers(1, 150))
SPREADS = st.sampled_from((1e-30, 1e-4, 1.0, 1e4))
SEEDS = st.integers(0, 1000)


def weights(shape: tuple[int, int], seed: int = 0, spread: float = 1.0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * spread


def inputs_seen(count: int, inputs: int, seed: int = 1) -> torch.Tensor:
    """(count, inputs), each input a mix of few causes, so that one can make up for another."""
    causes = max(1, inputs // 4)
    return weights((count, causes), seed) @ weights((causes, inputs), seed + 1) + 0.1 * weights(
        (count, inputs), seed + 2
    )


def harm(weight: torch.Tensor, codes: Codes, x: torch.Tensor) -> float:
    """How far the products of `x` move."""
    return float((x @ (weight - dequantise(codes)).t()).norm())


@given(shape=SHAPES, seed=SEEDS, spread=SPREADS)
def test_eight_bits_are_at_most_half_a_step_off(shape: tuple[int, int], seed: int, spread: float) -> None:
    weight = weights(shape, seed, spread)
    codes = quantise_8(weight)
    assert codes.codes.dtype == torch.int8
    assert int(codes.codes.abs().amax()) == 127
    assert bool(((dequantise(codes) - weight).abs() <= codes.scales * 0.5001).all())


@settings(max_examples=40)
@given(shape=SHAPES, seed=SEEDS, spread=SPREADS, fitted=st.booleans())
def test_four_bits_are_in_range_whatever_the_shape(
    shape: tuple[int, int], seed: int, spread: float, fitted: bool
) -> None:
    weight = weights(shape, seed, spread)
    x = inputs_seen(7, shape[1], seed)
    codes = quantise_4(weight, x.t() @ x if fitted else None)
    groups = -(-shape[1] // GROUP)
    assert codes.codes.shape == weight.shape
    assert codes.scales.shape == (shape[0], groups)
    assert codes.mins is not None
    assert codes.mins.shape == codes.scales.shape
    assert int(codes.codes.amax()) <= 15
    assert bool((codes.scales > 0).all())
    assert bool(dequantise(codes).isfinite().all())


@given(shape=SHAPES, seed=SEEDS)
def test_four_bits_to_the_nearest_are_about_half_a_step_off(shape: tuple[int, int], seed: int) -> None:
    weight = weights(shape, seed)
    codes = quantise_4(weight)
    for group, part in enumerate(torch.split(weight, GROUP, 1)):
        near = dequantise(codes)[:, group * GROUP : (group + 1) * GROUP]
        step = (part.amax(1) - part.amin(1)) / 15
        plain = part.shape[1] * (step / 2).square()
        assert bool(((near - part).square().sum(1) <= plain + 1e-5).all())


@given(seed=SEEDS, inputs=st.integers(16, 150), group=st.sampled_from((32, 64)))
def test_four_bits_keep_weights_that_are_on_their_grid(seed: int, inputs: int, group: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 16, (5, inputs), generator=generator).float()
    for first in range(0, inputs, group):  # both ends are there, so that the grid can be seen
        levels[:, first], levels[:, min(first + 1, inputs - 1)] = 0, 15
    step = (torch.rand(5, 1, generator=generator) + 0.01).half().float()
    least = torch.randn(5, 1, generator=generator).half().float()
    if inputs % group == 1:  # a group of one weight: its level is 15
        levels[:, -1] = 15
    weight = levels * step + least
    codes = quantise_4(weight, group=group)
    slack = float(least.abs().amax()) * 2**-10 + 15 * float(step.amax()) * 2**-10
    assert float((dequantise(codes) - weight).abs().amax()) <= slack


@pytest.mark.parametrize("value", [0.0, 1.0, -0.37, 123.0, 1e-12])
@pytest.mark.parametrize("inputs", [1, 64, 70])
def test_weights_that_are_all_the_same(value: float, inputs: int) -> None:
    weight = torch.full((3, inputs), value)
    x = inputs_seen(9, inputs)
    for codes in (quantise_8(weight), quantise_4(weight)):
        off = (dequantise(codes) - weight).abs().amax()
        assert float(off) <= abs(value) * 2**-10 + 2**-20
    fitted = quantise_4(weight, x.t() @ x)  # the rounding of minima is made up for by inputs after it
    assert float((dequantise(fitted) - weight).abs().amax()) <= abs(value) * 2**-7 + 2**-20


def test_a_row_of_zeros_among_others() -> None:
    weight = weights((4, 64))
    weight[2] = 0
    for codes in (quantise_8(weight), quantise_4(weight)):
        assert bool((dequantise(codes)[2].abs() < 1e-6).all())
        assert float((dequantise(codes) - weight).abs().amax()) < 0.3


@settings(max_examples=25)
@given(shape=st.tuples(st.integers(4, 20), st.integers(40, 200)), seed=SEEDS)
def test_what_was_seen_in_calibration_is_kept_better(shape: tuple[int, int], seed: int) -> None:
    weight, x = weights(shape, seed), inputs_seen(400, shape[1], seed)
    fitted = harm(weight, quantise_4(weight, x.t() @ x), x)
    assert fitted < 0.8 * harm(weight, quantise_4(weight), x)


def test_what_was_not_seen_is_kept_too() -> None:
    weight, seen = weights((32, 128)), inputs_seen(400, 128, 1)
    other = inputs_seen(400, 128, 50)
    assert harm(weight, quantise_4(weight, seen.t() @ seen), other) < 0.2 * float((other @ weight.t()).norm())


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_inputs_that_say_too_little_still_work(rank: int) -> None:
    weight = weights((8, 96))
    x = inputs_seen(rank, 96) if rank else torch.zeros(1, 96)
    codes = quantise_4(weight, x.t() @ x)
    assert float((dequantise(codes) - weight).norm()) < 0.5 * float(weight.norm())


def test_an_input_that_is_always_zero() -> None:
    weight, x = weights((8, 96)), inputs_seen(300, 96)
    x[:, 17] = 0
    codes = quantise_4(weight, x.t() @ x)
    assert float((dequantise(codes) - weight).norm()) < 0.5 * float(weight.norm())
    assert harm(weight, codes, x) < harm(weight, quantise_4(weight), x)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_hessian_without_meaning_is_left_alone(bad: float) -> None:
    weight = weights((8, 96))
    hessian = torch.full((96, 96), bad)
    assert torch.equal(quantise_4(weight, hessian).codes, quantise_4(weight).codes)


def test_the_weight_given_is_not_changed() -> None:
    weight, x = weights((8, 96)), inputs_seen(300, 96)
    before = weight.clone()
    quantise_4(weight, x.t() @ x)
    quantise_8(weight)
    assert torch.equal(weight, before)
