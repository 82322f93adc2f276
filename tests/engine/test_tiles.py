"""Tiles: codes laid out as products read them, and back, whatever the shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.network.quantise import Codes, quantise_4, quantise_8
from storyteller.engine.network.tiles import Tiles, tile, untile

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 150))


def some_codes(shape: tuple[int, int], bits: int, seed: int = 0, group: int = 64) -> Codes:
    generator = torch.Generator().manual_seed(seed)
    outputs, inputs = shape
    if bits == 8:
        codes = torch.randint(-127, 128, shape, generator=generator).to(torch.int8)
        return Codes(codes, torch.rand(outputs, 1, generator=generator), None, 8, inputs)
    groups = -(-inputs // group)
    scales, mins = torch.randn(2, outputs, groups, generator=generator).half()
    codes = torch.randint(0, 16, shape, generator=generator).to(torch.uint8)
    return Codes(codes, scales, mins, 4, group)


@given(shape=SHAPES, bits=st.sampled_from((4, 8)), seed=st.integers(0, 100), group=st.sampled_from((32, 64)))
def test_what_is_laid_out_comes_back(shape: tuple[int, int], bits: int, seed: int, group: int) -> None:
    codes = some_codes(shape, bits, seed, group)
    tiles = tile(codes)
    tiles.check()
    back = untile(tiles)
    assert torch.equal(back.codes, codes.codes)
    assert torch.equal(back.scales, codes.scales)
    assert (back.mins is None) == (codes.mins is None)
    if back.mins is not None and codes.mins is not None:
        assert torch.equal(back.mins, codes.mins)
    assert (back.bits, back.group) == (codes.bits, codes.group)


@given(shape=SHAPES, bits=st.sampled_from((4, 8)))
def test_every_tensor_fills_whole_lines_of_the_processors_cache(shape: tuple[int, int], bits: int) -> None:
    tiles = tile(some_codes(shape, bits))
    assert tiles.data.nbytes % 64 == 0
    assert tiles.scales.nbytes % 64 == 0
    assert tiles.bytes == tiles.data.nbytes + tiles.scales.nbytes


def test_the_layout_is_the_one_that_is_documented() -> None:
    eight = tile(Codes(torch.arange(64).view(2, 32).to(torch.int8), torch.ones(2, 1), None, 8, 32))
    lines = eight.data.view(8, 16, 4)  # [inputs / 4][output][4]
    assert lines[1, 0].tolist() == [128 + 4, 128 + 5, 128 + 6, 128 + 7]
    assert lines[0, 1].tolist() == [128 + 32, 128 + 33, 128 + 34, 128 + 35]
    ones = torch.ones(1, 1, dtype=torch.float16)
    four = tile(Codes(torch.arange(32).remainder(16).view(1, 32).to(torch.uint8), ones, -ones, 4, 64))
    assert four.data.view(4, 16, 4)[0, 0].tolist() == [0x40, 0x51, 0x62, 0x73]
    assert four.scales.view(1, 2, 16)[0, :, 0].tolist() == [1.0, -1.0]


CHANGES: dict[str, dict[str, Any]] = {
    "more outputs": {"outputs": 17},
    "fewer outputs": {"outputs": 0},
    "more inputs": {"inputs": 65},
    "data cut short": {"data": torch.zeros(10, dtype=torch.uint8)},
    "data of another kind": {"data": torch.zeros(16 * 64, dtype=torch.int8)},
    "scales cut short": {"scales": torch.zeros(3)},
    "scales of another kind": {"scales": torch.zeros(16, dtype=torch.float64)},
    "scales that are no numbers": {"scales": torch.full((16,), torch.nan)},
    "scales without end": {"scales": torch.full((16,), torch.inf)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_tiles_that_are_not_what_they_say(change: dict[str, Any]) -> None:
    tiles = tile(quantise_8(torch.randn(16, 64)))
    tiles.check()
    with pytest.raises(ValueError, match="in 8 bits"):
        replace(tiles, **change).check()


def test_four_bits_are_not_taken_for_eight() -> None:
    four = tile(quantise_4(torch.randn(16, 64)))
    with pytest.raises(ValueError, match="in 8 bits"):
        Tiles(four.data, four.scales, 8, 64, 16, 64).check()
