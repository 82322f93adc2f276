"""Weights in few bits: what the codes stand for, how they are laid out, what is made of them, and what is kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storyteller.engine.network import weights as weight_files
from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.quantise import Codes, dequantise, quantise_4, quantise_8
from storyteller.engine.network.quantised import TorchInt4Linear, TorchInt8Linear, quantised_linear
from storyteller.engine.network.quantised_cache import cache_path, load, store
from storyteller.engine.network.tiles import Tiles, tile, untile
from storyteller.engine.protocol import Loading, Notice, Ready
from storyteller.errors import ModelError
from tests.stubs.tiny_gpt2 import Room, random_tensors, takes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storyteller.engine.network.device import Placement
    from storyteller.engine.network.native.engine import NativeEngine

CPU = torch.device("cpu")
shapes = st.tuples(st.integers(1, 40), st.integers(1, 150), st.integers(0, 1000))


def random_weight(outputs: int, inputs: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))


def off(ours: torch.Tensor, right: torch.Tensor) -> float:
    """Relative error."""
    return float((ours.float() - right.float()).norm() / right.float().norm())


# Codes


@given(shapes)
@settings(max_examples=60)
def test_eight_bits_are_off_by_at_most_half_a_step(shape: tuple[int, int, int]) -> None:
    weight = random_weight(*shape)
    codes = quantise_8(weight)
    assert int(codes.codes.abs().max()) <= 127
    assert bool(((dequantise(codes) - weight).abs() <= codes.scales * 0.501).all())


@given(shapes, st.sampled_from([32, 64]))
@settings(max_examples=60)
def test_four_bits_stay_within_their_range(shape: tuple[int, int, int], group: int) -> None:
    weight = random_weight(*shape)
    codes = quantise_4(weight, group=group)
    assert codes.mins is not None
    assert int(codes.codes.max()) <= 15
    assert codes.scales.shape == codes.mins.shape == (shape[0], -(-shape[1] // group))
    assert off(dequantise(codes), weight) < 0.2


@given(shapes)
@settings(max_examples=40)
def test_what_four_bits_can_say_they_say(shape: tuple[int, int, int]) -> None:
    outputs, inputs, seed = shape
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(0, 16, (outputs, inputs), generator=generator).to(torch.uint8)
    numbers[:, ::64], numbers[:, 1::64] = 0, 15  # every group uses its whole range
    groups = -(-inputs // 64)
    meant = Codes(
        numbers, torch.full((outputs, groups), 0.25).half(), torch.full((outputs, groups), -1.5).half(), 4, 64
    )
    found = quantise_4(dequantise(meant))
    assert torch.allclose(dequantise(found), dequantise(meant), atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.7, -3.0])
def test_weights_that_are_all_the_same(value: float) -> None:
    weight = torch.full((3, 70), value)
    assert torch.allclose(dequantise(quantise_8(weight)), weight, atol=1e-2)
    assert torch.allclose(dequantise(quantise_4(weight)), weight, atol=2e-3)


def test_calibration_makes_products_of_what_was_seen_better() -> None:
    weight = random_weight(48, 128)
    mixing = random_weight(32, 128, 1)
    seen = random_weight(400, 32, 2) @ mixing  # inputs that go together, as a model's do
    blind, fitted = quantise_4(weight), quantise_4(weight, seen.t() @ seen)
    new = random_weight(200, 32, 3) @ mixing
    assert off(new @ dequantise(fitted).t(), new @ weight.t()) < 0.8 * off(
        new @ dequantise(blind).t(), new @ weight.t()
    )


@pytest.mark.parametrize("hessian", [torch.zeros(96, 96), torch.ones(96, 96), torch.eye(96) * 1e20])
def test_a_hessian_that_says_nothing(hessian: torch.Tensor) -> None:
    weight = random_weight(16, 96)
    assert off(dequantise(quantise_4(weight, hessian)), weight) < 0.2


# Tiles


@given(shapes, st.sampled_from([4, 8]))
@settings(max_examples=80)
def test_tiles_and_codes_are_inverse(shape: tuple[int, int, int], bits: int) -> None:
    weight = random_weight(*shape)
    codes = quantise_8(weight) if bits == 8 else quantise_4(weight)
    laid_out = tile(codes)
    laid_out.check()
    again = untile(laid_out)
    assert torch.equal(again.codes, codes.codes)
    assert torch.equal(again.scales, codes.scales)
    assert (again.mins is None) == (codes.mins is None)
    if codes.mins is not None and again.mins is not None:
        assert torch.equal(again.mins, codes.mins)


def test_tensors_of_another_weight_are_not_taken() -> None:
    laid_out = tile(quantise_4(random_weight(16, 64)))
    with pytest.raises(ValueError, match="no tiles of 32 x 64"):
        Tiles(laid_out.data, laid_out.scales, 4, 64, 32, 64).check()


# Products


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", [(48, 64), (37, 100), (400, 32), (64, 320), (5, 7)])
@pytest.mark.parametrize("rows", [1, 3, 8, 9, 70])
def test_the_compiled_product(native: NativeEngine, bits: int, shape: tuple[int, int], rows: int) -> None:
    weight, bias = random_weight(*shape), random_weight(1, shape[0], 1)[0]
    codes = quantise_8(weight) if bits == 8 else quantise_4(weight)
    product = quantised_linear(tile(codes), bias, torch.float32, CPU, native)
    x = random_weight(rows, shape[1], 2)
    right = x @ dequantise(codes).t() + bias
    assert off(product(x), right) < 0.02  # rows are in eight bits
    assert off(product.added(x, torch.ones(rows, shape[0])), right + 1) < 0.02
    assert torch.equal(product(x)[rows - 1], product(x[rows - 1 :])[0])


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_torchs_products_where_nothing_is_compiled(bits: int, rows: int) -> None:
    weight, bias = random_weight(64, 128), random_weight(1, 64, 1)[0]
    codes = quantise_8(weight) if bits == 8 else quantise_4(weight)
    product = quantised_linear(tile(codes), bias, torch.bfloat16, CPU, None)
    assert isinstance(product, TorchInt8Linear if bits == 8 else TorchInt4Linear)
    x = random_weight(rows, 128, 2)
    assert off(product(x.bfloat16()), x @ dequantise(codes).t() + bias) < 0.02


@pytest.mark.parametrize(("outputs", "inputs"), [(60, 100), (61, 64)])
def test_shapes_torch_has_no_kernel_for_are_computed_all_the_same(outputs: int, inputs: int) -> None:
    codes = quantise_4(random_weight(outputs, inputs))
    product = quantised_linear(tile(codes), None, torch.bfloat16, CPU, None)
    x = random_weight(3, inputs, 2)
    assert off(product(x.bfloat16()), x @ dequantise(codes).t()) < 0.02


# Models


@pytest.fixture(params=["compiled", "operators"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the compiled step, or without."""
    if request.param == "compiled":
        native = request.getfixturevalue("native")
        monkeypatch.setattr("storyteller.engine.writing.loaded.native_engine", lambda *_, **__: native)
    return str(request.param)


@pytest.fixture
def model(make_model: Callable[..., Path]) -> Path:
    """A tiny model whose products all kernels take."""
    return make_model(n_embd=64, n_head=4, n_positions=128)


@pytest.mark.parametrize("dtype", ["int8", "int4"])
@pytest.mark.usefixtures("engine")
def test_a_model_opens_says_what_it_is_and_writes(model: Path, dtype: str) -> None:
    room = Room(model, dtype=dtype)
    (ready,) = [event for event in room.status if isinstance(event, Ready)]
    assert ready.dtype == dtype
    assert takes_of(room.generate("The sea", max_tokens=8))[0].text


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_the_step_computes_what_exact_products_of_the_same_weights_do(
    model: Path, dtype: str, native: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = list(range(1, 60))
    exact = Trunk(Room(model, dtype=dtype).core.opened.network).extend(ids)  # dequantised, in float32
    monkeypatch.setattr("storyteller.engine.writing.loaded.native_engine", lambda *_, **__: native)
    network = Room(model, dtype=dtype).core.opened.network
    assert network.step is not None
    with torch.inference_mode():
        assert off(Trunk(network).extend(ids), exact) < 0.05  # rows are in eight bits


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_a_row_says_the_same_however_it_is_read(
    model: Path, dtype: str, native: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storyteller.engine.writing.loaded.native_engine", lambda *_, **__: native)
    network = Room(model, dtype=dtype).core.opened.network
    ids = list(range(1, 100))
    with torch.inference_mode():
        at_once, trunk = Trunk(network).extend(ids), Trunk(network)
        one_by_one = torch.cat([trunk.extend([token]) for token in ids])
    assert torch.equal(at_once, one_by_one)


@pytest.mark.parametrize("dtype", ["int8", "int4"])
@pytest.mark.usefixtures("engine")
def test_the_second_start_reads_no_weight(model: Path, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Room(model, dtype=dtype)
    stages = [event.stage for event in first.status if isinstance(event, Loading)]
    assert f"making {dtype[3:]}-bit weights, once" in stages
    read: list[str] = []
    original = weight_files.WeightFiles.raw

    def noted(files: weight_files.WeightFiles, name: str, placement: Placement) -> torch.Tensor:
        read.append(name)
        return original(files, name, placement)

    monkeypatch.setattr(weight_files.WeightFiles, "raw", noted)
    second = Room(model, dtype=dtype)
    assert all(name.endswith(".bias") for name in read)
    texts = [takes_of(room.generate("The sea", max_tokens=12))[0].text for room in (first, second)]
    assert texts[0] == texts[1]


def test_fewer_bits_are_fewer_bytes(
    model: Path, native: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storyteller.engine.writing.loaded.native_engine", lambda *_, **__: native)
    sizes = [
        Room(model, dtype=dtype).core.opened.network.weight_bytes for dtype in ("float32", "int8", "int4")
    ]
    assert sizes[0] > 3.5 * sizes[1] > 6 * sizes[2]


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_a_weight_that_is_no_number_is_refused_by_name(
    make_model: Callable[..., Path], tmp_path: Path, dtype: str
) -> None:
    from safetensors.torch import save_file

    from storyteller.engine.network.model_config import load_config
    from tests.stubs.tiny_gpt2 import write_model

    folder = write_model(tmp_path / "model", seed=3)
    tensors = random_tensors(load_config(folder), 3)
    tensors["h.1.mlp.c_fc.weight"][3, 4] = float("nan")
    save_file(
        {f"transformer.{name}": tensor for name, tensor in tensors.items()}, folder / "model.safetensors"
    )
    with pytest.raises(ModelError, match=r"h\.1\.mlp\.c_fc\.weight holds NaN"):
        Room(folder, dtype=dtype)


# The cache


def kept(model: Path, dtype: str = "int8") -> Path:
    """The file that a model's weights are kept in, made."""
    room = Room(model, dtype=dtype)
    path = cache_path(room.core.opened.hash, int(dtype[3:]))
    assert path.is_file()
    return path


def test_what_is_kept_is_the_writers_alone_and_lies_in_lines(model: Path) -> None:
    path = kept(model)
    assert path.stat().st_mode & 0o777 == 0o600
    tensors = load(path)
    assert tensors
    assert all(tensor.data_ptr() % 64 == 0 for tensor in tensors.values())
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["cut short", "other bytes", "empty", "of another model"])
def test_what_is_damaged_is_made_again(model: Path, make_model: Callable[..., Path], damage: str) -> None:
    path = kept(model)
    whole = path.read_bytes()
    if damage == "of another model":
        other = kept(make_model(n_embd=32, n_positions=128))
        path.write_bytes(other.read_bytes())
    else:
        path.write_bytes({"cut short": whole[:-100], "other bytes": b"\xff" * 300, "empty": b""}[damage])
    assert takes_of(Room(model, dtype="int8").generate("The sea", max_tokens=4))[0].text
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_told_and_costs_nothing_else(model: Path, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "cache").write_text("in the way")
    room = Room(model, dtype="int8")
    assert any("could not be kept" in event.message for event in room.status if isinstance(event, Notice))
    assert takes_of(room.generate("The sea", max_tokens=4))[0].text


def test_the_models_opened_longest_ago_go_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storyteller.engine.network.quantised_cache._MOST_BYTES", 3000)
    paths = [cache_path(name, 8) for name in ("a", "b", "c")]
    for path in paths:
        assert store(path, {"x": torch.zeros(1024, dtype=torch.uint8)}) is None
    assert [path.is_file() for path in paths] == [False, True, True]
    assert home in paths[0].parents
