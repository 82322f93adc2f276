"""Products of weights in few bits, by the compiled step and by torch: those of the weights the codes stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody reads

from storyteller.engine.network.linear import DenseLinear
from storyteller.engine.network.native.weights import NativeLinear
from storyteller.engine.network.quantise import Codes, dequantise, quantise_4, quantise_8
from storyteller.engine.network.quantised import TorchInt4Linear, TorchInt8Linear, quantised_linear
from storyteller.engine.network.tiles import tile

if TYPE_CHECKING:
    from storyteller.engine.network.native.engine import NativeEngine

CPU = torch.device("cpu")
SHAPES = [
    (64, 64),
    (192, 128),
    (16, 32),
    (1, 1),
    (37, 60),
    (400, 70),
    (130, 97),
    (65, 256),
]  # outputs, inputs
ROWS = [1, 2, 5, 8, 9, 16, 17, 33, 70]


def some_codes(shape: tuple[int, int], bits: int) -> Codes:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * 0.3
    return quantise_8(weight) if bits == 8 else quantise_4(weight)


def some_rows(count: int, inputs: int) -> torch.Tensor:
    return torch.randn(count, inputs, generator=torch.Generator().manual_seed(count))


def bound_of(codes: Codes, x: torch.Tensor) -> torch.Tensor:
    """(n, outputs): the furthest a product may be when rows are in eight bits, 32 inputs to a scale."""
    padded = F.pad(x, (0, -x.shape[1] % 32))
    largest = padded.view(len(x), -1, 32).abs().amax(2).repeat_interleave(32, 1)[:, : x.shape[1]]
    return largest / 127 * 0.501 @ dequantise(codes).abs().t() + 1e-4


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_compiled_product_is_within_what_rows_in_eight_bits_lose(
    native: NativeEngine, shape: tuple[int, int], bits: int
) -> None:
    codes = some_codes(shape, bits)
    bias = torch.randn(shape[0])
    product = quantised_linear(tile(codes), bias, torch.float32, CPU, native)
    assert isinstance(product, NativeLinear)
    for count in ROWS:
        x = some_rows(count, shape[1])
        exact = x @ dequantise(codes).t() + bias
        y = product(x)
        assert y.dtype == torch.float32
        assert bool(((y - exact).abs() <= bound_of(codes, x)).all())


@pytest.mark.parametrize("bits", [8, 4])
def test_rows_that_eight_bits_hold_are_multiplied_exactly(native: NativeEngine, bits: int) -> None:
    codes = some_codes((48, 96), bits)
    x = torch.randint(-127, 128, (4, 96), generator=torch.Generator().manual_seed(0)).float()
    x[:, ::32] = 127.0  # the scale of every 32 is 1
    exact = x.double() @ dequantise(codes).double().t()
    y = NativeLinear(native, tile(codes), None)(x)
    assert float((y - exact).abs().amax()) < 1e-4 * float(exact.abs().amax())


@pytest.mark.parametrize("bits", [8, 4])
def test_a_row_is_the_same_bit_for_bit_alone_and_among_others(native: NativeEngine, bits: int) -> None:
    product = NativeLinear(native, tile(some_codes((130, 97), bits)), None)
    x = some_rows(50, 97)
    together = product(x)
    assert all(torch.equal(product(x[i : i + 1])[0], together[i]) for i in range(50))
    assert torch.equal(product(x[3:20]), together[3:20])


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_row_that_is_damaged_has_no_product_and_the_others_have(
    native: NativeEngine, bits: int, bad: float
) -> None:
    product = NativeLinear(native, tile(some_codes((130, 97), bits)), None)
    x = some_rows(5, 97)
    right = product(x)
    for place in (0, 20, 96):
        damaged = x.clone()
        damaged[2, place] = bad
        y = product(damaged)
        assert not bool(y[2].isfinite().any())
        assert torch.equal(y[[0, 1, 3, 4]], right[[0, 1, 3, 4]])
    assert bool(product(torch.full((1, 97), 1e30)).isfinite().all())


def test_rows_of_zeros_and_rows_that_are_not_contiguous(native: NativeEngine) -> None:
    codes = some_codes((32, 64), 4)
    product = NativeLinear(native, tile(codes), None)
    assert float(product(torch.zeros(3, 64)).abs().amax()) == 0.0
    x = some_rows(64, 5).t()
    assert torch.equal(product(x), product(x.contiguous()))


def test_rows_in_bfloat16_are_answered_in_bfloat16(native: NativeEngine) -> None:
    codes = some_codes((32, 64), 4)
    x = some_rows(3, 64).bfloat16()
    product = NativeLinear(native, tile(codes), None)
    assert torch.equal(product(x), product(x.float()).bfloat16())


TORCHS = [
    ((64, 64), 8, TorchInt8Linear),
    ((130, 96), 8, TorchInt8Linear),
    ((64, 64), 4, TorchInt4Linear),
    ((192, 128), 4, TorchInt4Linear),
]
DENSE = [((37, 60), 8), ((130, 97), 8), ((37, 60), 4), ((64, 96), 4), ((96, 64), 4)]


@pytest.mark.parametrize(("shape", "bits", "kind"), TORCHS)
def test_torchs_kernels_are_within_bfloat16_of_the_exact_product(
    shape: tuple[int, int], bits: int, kind: type
) -> None:
    codes, bias = some_codes(shape, bits), torch.randn(shape[0])
    product = quantised_linear(tile(codes), bias, torch.bfloat16, CPU, None)
    assert type(product) is kind
    for count in ROWS:
        x = some_rows(count, shape[1]).bfloat16()
        exact = x.float() @ dequantise(codes).t() + bias
        y = product(x)
        assert y.dtype == torch.bfloat16
        assert float((y.float() - exact).norm()) < 0.01 * float(exact.norm())


@pytest.mark.parametrize(("shape", "bits"), DENSE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shapes_that_torchs_kernels_get_wrong_are_expanded(
    shape: tuple[int, int], bits: int, dtype: torch.dtype
) -> None:
    codes, bias = some_codes(shape, bits), torch.randn(shape[0])
    product = quantised_linear(tile(codes), bias, dtype, CPU, None)
    assert isinstance(product, DenseLinear)
    x = some_rows(5, shape[1]).to(dtype)
    exact = x.float() @ dequantise(codes).t() + bias
    slack = 0.01 if dtype == torch.bfloat16 else 1e-5
    assert float((product(x).float() - exact).norm()) < slack * float(exact.norm())


@pytest.mark.parametrize("bits", [8, 4])
def test_what_follows_a_product_is_what_follows_it_elsewhere(native: NativeEngine, bits: int) -> None:
    tiles, bias = tile(some_codes((64, 64), bits)), torch.randn(64)
    for product in (
        quantised_linear(tiles, bias, torch.bfloat16, CPU, native),
        quantised_linear(tiles, bias, torch.bfloat16, CPU, None),
    ):
        x, residual = some_rows(2, 64).bfloat16(), some_rows(2, 64).bfloat16()
        y = product(x)
        assert torch.equal(product.added(x, residual), residual + y)
        assert torch.equal(product.activated(x, "gelu_new"), F.gelu(y, approximate="tanh"))


@pytest.mark.parametrize("bits", [8, 4])
def test_what_a_product_reads_is_counted(native: NativeEngine, bits: int) -> None:
    codes = some_codes((128, 256), bits)
    numbers = 128 * 256
    for engine in (native, None):
        product = quantised_linear(tile(codes), None, torch.bfloat16, CPU, engine)
        assert bits <= product.weight_bytes * 8 / numbers <= bits + 1
