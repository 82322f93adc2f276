"""Models in eight and four bits, from the file to the text: made once, mapped afterwards, as near to the model as said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from storyteller.engine.network.adapters import load_adapter, mix
from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.device import Placement
from storyteller.engine.network.few_bits import FewBits, calibration_text
from storyteller.engine.network.model_config import load_config
from storyteller.engine.network.native.step import NativeStep
from storyteller.engine.network.quantised_cache import cache_path
from storyteller.engine.network.weights import WeightFiles, read_network
from storyteller.engine.protocol import Load, Loading, Notice, Ready
from storyteller.engine.settings import SamplerSettings
from storyteller.engine.writing import loaded
from storyteller.engine.writing.lanes import Lanes
from storyteller.paths import cache_dir
from tests.stubs.tiny_gpt2 import Room, open_network, takes_of, write_adapter, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storyteller.engine.core import Core
    from storyteller.engine.network.model import Network
    from storyteller.engine.network.native.engine import NativeEngine

CPU = torch.device("cpu")
IDS = list(range(1, 200))
GREEDY = SamplerSettings(temperature=0.0, loop_guard=False)
# How far hidden states may be from float32's, as a share of their norm: the starter's, and a tiny model's, whose large
# random weights let every rounding grow from layer to layer.
STARTERS = {8: 0.03, 4: 0.05}
TINY = {8: 0.06, 4: 0.4}
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"n_embd": 64},
    "odd widths": {"n_embd": 60, "n_head": 5, "n_inner": 44, "vocab_size": 397},
    "untied": {"n_embd": 64, "tie_word_embeddings": False},
    "wide": {"n_embd": 96, "n_head": 2, "n_layer": 2},
}


@pytest.fixture
def folder(make_model: Callable[..., Path]) -> Path:
    return make_model(n_embd=64)


def opened(
    folder: Path, bits: int, native: NativeEngine | None = None, dtype: torch.dtype = torch.float32
) -> Network:
    """The model in few bits, as `LoadedModel` opens it; the cache is named after the folder."""
    config, placement = load_config(folder), Placement(CPU, dtype, bits=bits)
    few_bits = FewBits(config, placement, native, _path(folder, bits), [i % 397 for i in IDS])
    network = read_network(folder, config, placement, native, few_bits)
    assert few_bits.finish() is None
    return network


def _path(folder: Path, bits: int) -> Path:
    return cache_path(folder.name.ljust(32, "0"), bits)


@torch.inference_mode()
def hidden_of(network: Network, ids: list[int], piece: int) -> torch.Tensor:
    trunk = Trunk(network)
    return torch.cat([trunk.extend(ids[first : first + piece]) for first in range(0, len(ids), piece)])


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The norm of their difference, as a share."""
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_the_compiled_step_is_the_operators_with_the_same_products(
    make_model: Callable[..., Path], native: NativeEngine, shape: dict[str, Any], bits: int
) -> None:
    fused = opened(make_model(**shape), bits, native)
    assert isinstance(fused.step, NativeStep)
    operators = replace(fused, step=None)
    for piece in (1, 3, 8, 40):
        ours = hidden_of(fused, IDS[:40], piece)
        assert (
            apart(ours, hidden_of(operators, IDS[:40], piece)) < 0.002
        )  # a row's number may round the other way
        assert torch.equal(fused.logits(ours), operators.logits(ours))


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_rows_in_eight_bits_cost_little_beside_the_weights_the_codes_stand_for(
    make_model: Callable[..., Path], native: NativeEngine, shape: dict[str, Any], bits: int
) -> None:
    folder = make_model(**shape)
    fused, dense = opened(folder, bits, native), opened(folder, bits)
    assert dense.step is None
    ours = hidden_of(fused, IDS[:40], 8)
    assert apart(ours, hidden_of(dense, IDS[:40], 8)) < 0.05
    assert apart(fused.logits(ours), dense.logits(ours)) < 0.02


@pytest.mark.parametrize("bits", [8, 4])
def test_the_starter_in_few_bits(starter_model: Path, native: NativeEngine, bits: int) -> None:
    fused, dense = opened(starter_model, bits, native), opened(starter_model, bits)
    ours = hidden_of(fused, IDS[:64], 8)
    assert apart(ours, hidden_of(dense, IDS[:64], 8)) < 0.02
    assert apart(ours, hidden_of(open_network(starter_model), IDS[:64], 64)) < STARTERS[bits]


@pytest.mark.parametrize("bits", [8, 4])
def test_a_few_bit_model_is_near_the_model(folder: Path, native: NativeEngine, bits: int) -> None:
    exact = hidden_of(open_network(folder), IDS[:40], 40)
    for network in (opened(folder, bits, native), opened(folder, bits, dtype=torch.bfloat16)):
        assert apart(hidden_of(network, IDS[:40], 8), exact) < TINY[bits]


@pytest.mark.parametrize("bits", [8, 4])
def test_a_row_says_the_same_alone_and_among_others(folder: Path, native: NativeEngine, bits: int) -> None:
    fused = opened(folder, bits, native)
    alone = hidden_of(fused, IDS[:40], 1)
    for piece in (2, 8, 13, 40):
        assert torch.equal(hidden_of(fused, IDS[:40], piece), alone)


@torch.inference_mode()
@pytest.mark.parametrize("bits", [8, 4])
def test_lanes_decoded_together_write_what_each_writes_alone(
    folder: Path, native: NativeEngine, bits: int
) -> None:
    fused = opened(folder, bits, native)

    def written(firsts: list[int]) -> list[list[int]]:
        lanes = Lanes(fused, 0)
        lanes.show(IDS[:20])
        lanes.split([20] * len(firsts), 20)
        tokens, texts = firsts, [[first] for first in firsts]
        for _ in range(20):
            tokens = lanes.decode(tokens).argmax(-1).tolist()
            for text, token in zip(texts, tokens, strict=True):
                text.append(token)
        return texts

    assert written([5, 6, 7]) == [written([first])[0] for first in (5, 6, 7)]


@pytest.mark.parametrize("bits", [8, 4])
def test_adapters_beside_weights_in_few_bits(
    folder: Path, native: NativeEngine, tmp_path: Path, bits: int
) -> None:
    hidden = []
    for engine in (native, None):
        network = opened(folder, bits, engine)
        adapter = load_adapter(write_adapter(tmp_path / "adapter", network.config), network.config)
        adapted = mix(network, [(adapter, 1.0)])
        assert (adapted.step is not None) == (engine is not None)
        hidden.append(hidden_of(adapted, IDS[:30], 1))
        assert apart(hidden[-1], hidden_of(network, IDS[:30], 1)) > 0.05
    assert apart(hidden[0], hidden[1]) < 0.05


@pytest.mark.parametrize("bits", [8, 4])
def test_the_second_start_reads_none_of_the_products(
    folder: Path, native: NativeEngine, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    first = hidden_of(opened(folder, bits, native), IDS[:20], 8)
    read: list[str] = []
    original = WeightFiles.raw

    def raw(self: WeightFiles, name: str, placement: Placement) -> torch.Tensor:
        read.append(name)
        return original(self, name, placement)

    monkeypatch.setattr(WeightFiles, "raw", raw)
    assert torch.equal(hidden_of(opened(folder, bits, native), IDS[:20], 8), first)
    assert read
    assert all(name.endswith(".bias") for name in read)


def spoil_scales(path: Path) -> None:
    held = load_file(path)
    held["h.1.mlp.c_fc.scales"].fill_(torch.nan)
    save_file(held, path)


def change_shape(path: Path) -> None:
    held = load_file(path)
    held["h.1.mlp.c_fc.data"] = held["h.1.mlp.c_fc.data"][:-64].clone()
    save_file(held, path)


def drop(path: Path) -> None:
    held = load_file(path)
    del held["head.data"]
    save_file(held, path)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(
    "damage",
    [
        spoil_scales,
        change_shape,
        drop,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"x" * 100),
        lambda path: path.write_bytes(b""),
    ],
    ids=["scales", "shape", "missing", "cut short", "text", "empty"],
)
def test_a_damaged_cache_is_made_again(
    folder: Path, native: NativeEngine, damage: Callable[[Path], object], bits: int
) -> None:
    first = hidden_of(opened(folder, bits, native), IDS[:20], 8)
    path = _path(folder, bits)
    whole = path.read_bytes()
    damage(path)
    assert torch.equal(hidden_of(opened(folder, bits, native), IDS[:20], 8), first)
    assert path.read_bytes() == whole


def test_the_cache_of_another_shape_is_made_again(
    make_model: Callable[..., Path], folder: Path, native: NativeEngine
) -> None:
    opened(folder, 4, native)
    other = make_model(n_embd=96, n_head=2, n_layer=2)
    _path(folder, 4).replace(_path(other, 4))
    assert hidden_of(opened(other, 4, native), IDS[:20], 8).shape == (20, 96)


def test_biases_do_not_hang_on_the_models_file(tmp_path: Path, native: NativeEngine) -> None:
    """A file cut short under a mapping takes the process with it."""
    folder = write_model(tmp_path / "model", n_embd=64)
    network = opened(folder, 8, native)
    before = hidden_of(network, IDS[:20], 8)
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.truncate(16)
    assert torch.equal(hidden_of(network, IDS[:20], 8), before)


def statuses(core: Core, folder: Path, dtype: Any) -> list[Any]:
    return list(core.load(Load(id="load", model=str(folder), dtype=dtype)))


@pytest.mark.parametrize(("dtype", "bits"), [("int8", 8), ("int4", 4)])
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "operators"])
def test_a_model_opened_in_few_bits_writes(
    folder: Path,
    native: NativeEngine,
    monkeypatch: pytest.MonkeyPatch,
    dtype: Any,
    bits: int,
    compiled: bool,
) -> None:
    monkeypatch.setattr(loaded, "native_engine", lambda *_, **__: native if compiled else None)
    texts, stages = [], []
    for _ in range(2):
        room = Room(folder, dtype=dtype)
        ready = room.status[-1]
        assert isinstance(ready, Ready)
        assert ready.dtype == dtype
        assert not [event for event in room.status if isinstance(event, Notice)]
        assert (room.core.opened.network.step is not None) == compiled
        texts.append(takes_of(room.generate("The old sea", settings=GREEDY, takes=2))[0].text)
        stages.append({event.stage for event in room.status if isinstance(event, Loading)})
    assert texts[0] == texts[1] != ""
    assert stages == [
        {"looking", f"making {bits}-bit weights, once"},
        {"looking", "reading the weights"},
    ]


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_a_cache_that_cannot_be_kept_is_said_and_the_model_opens(folder: Path, dtype: Any) -> None:
    cache_dir().mkdir(parents=True)
    (cache_dir() / "weights").write_text("in the way")
    room = Room(folder, dtype=dtype)
    [notice] = [event for event in room.status if isinstance(event, Notice)]
    assert "could not be kept for the next start" in notice.message
    assert takes_of(room.generate("The old sea"))[0].text


def test_what_calibrates_is_ordinary_text_that_ships() -> None:
    assert len(calibration_text().split()) > 1000
