"""The compiled step against the operators: the same hidden states, the same text, whatever the shape and the number of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from storyteller.engine.network.adapters import load_adapter, mix
from storyteller.engine.network.cache import Branches, Trunk
from storyteller.engine.network.native.step import NativeStep, native_step
from storyteller.engine.settings import SamplerSettings
from storyteller.engine.writing import loaded
from storyteller.engine.writing.lanes import Lanes
from tests.stubs.tiny_gpt2 import Room, close, open_network, takes_of, write_adapter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.native.engine import NativeEngine

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "odd widths": {"n_embd": 60, "n_head": 5, "n_inner": 44},
    "width of a vector": {"n_embd": 48, "n_head": 3},
    "wide heads": {"n_embd": 160, "n_head": 2, "n_layer": 2},
    "odd vocabulary": {"vocab_size": 397},
    "scaled by layer": {"scale_attn_by_inverse_layer_idx": True},
    "unscaled": {"scale_attn_weights": False},
    "untied": {"tie_word_embeddings": False},
    "small window": {"n_positions": 40},
}


def both(folder: Path, engine: NativeEngine, dtype: torch.dtype = torch.float32) -> tuple[Network, Network]:
    """The model by operators, and with the compiled step."""
    plain = open_network(folder, dtype)
    fused = open_network(folder, dtype, native=engine)
    assert plain.step is None
    assert isinstance(fused.step, NativeStep)
    return plain, fused


@pytest.fixture(params=SHAPES)
def pair(
    request: pytest.FixtureRequest, make_model: Callable[..., Path], native: NativeEngine
) -> tuple[Network, Network]:
    """A tiny model in both forms, for every shape."""
    return both(make_model(**SHAPES[request.param]), native)


@torch.inference_mode()
def test_a_sequence_read_in_pieces_of_any_size(pair: tuple[Network, Network]) -> None:
    trunks = [Trunk(network) for network in pair]
    for piece in ([1], [2, 3], [4, 5, 6, 7, 8], list(range(9, 20)), [20], list(range(100, 116))):
        plain, fused = (trunk.extend(piece) for trunk in trunks)
        assert close(fused, plain)
        assert close(pair[1].logits(fused), pair[0].logits(plain), slack=1e-3)


@torch.inference_mode()
def test_branches_of_different_lengths(pair: tuple[Network, Network]) -> None:
    found = []
    for network in pair:
        trunk = Trunk(network)
        trunk.extend([5, 6, 7, 8, 9])
        branches = Branches(network, trunk, rows=3, capacity=1)
        branches.copy_from_trunk(1, 3, 5)
        hidden = [branches.extend([[11], [12], [13]]), branches.extend([[1, 2, 3], [4], [5, 6]])]
        branches.retire(0)
        hidden.append(branches.extend([[21], [22]]))
        found.append(torch.cat(hidden))
    assert close(found[1], found[0])


@torch.inference_mode()
def test_what_operators_read_the_step_goes_on_from_and_the_other_way_round(
    tiny_model: Path, native: NativeEngine
) -> None:
    plain, fused = both(tiny_model, native)
    assert fused.step is not None
    long = list(range(1, 1 + fused.step.worthwhile + 4))
    trunks = [Trunk(plain), Trunk(fused)]
    for piece in (long, [7, 8], long):
        one, other = (trunk.extend(piece) for trunk in trunks)
        assert close(other, one)


@torch.inference_mode()
def test_a_row_says_the_same_alone_and_among_others(tiny_model: Path, native: NativeEngine) -> None:
    _, fused = both(tiny_model, native)
    ids = [3, 1, 4, 1, 5, 9, 2, 6]
    together = Trunk(fused).extend(ids)
    trunk = Trunk(fused)
    alone = torch.cat([trunk.extend([token]) for token in ids])
    assert torch.equal(together, alone)  # bit for bit: speculation must not change a text


@torch.inference_mode()
def test_in_bfloat16_the_step_is_as_close_to_float32_as_the_operators(
    make_model: Callable[..., Path], native: NativeEngine
) -> None:
    folder = make_model(n_embd=64, n_head=4)
    exact = Trunk(open_network(folder)).extend(range(1, 30))
    plain, fused = both(folder, native, torch.bfloat16)
    trunk = Trunk(fused)
    ours = torch.cat([trunk.extend([token]) for token in range(1, 30)])
    theirs = Trunk(plain).extend(range(1, 30)).float()
    assert (ours - exact).norm() <= (theirs - exact).norm() * 1.05
    assert (ours - exact).norm() < 0.02 * exact.norm()


@torch.inference_mode()
def test_adapters_beside_the_weights(tiny_model: Path, native: NativeEngine, tmp_path: Path) -> None:
    plain, fused = both(tiny_model, native)
    found = []
    for network in (plain, fused):
        adapters = [
            (
                load_adapter(
                    write_adapter(tmp_path / f"{rank}", network.config, rank=rank, seed=rank), network.config
                ),
                weight,
            )
            for rank, weight in ((3, 1.0), (16, -0.5))
        ]
        adapted = mix(network, adapters)
        trunk = Trunk(adapted)
        found.append(torch.cat([trunk.extend([1]), trunk.extend([2, 3, 4])]))
    assert close(found[1], found[0])
    assert not close(found[1], Trunk(plain).extend([1, 2, 3, 4]), slack=1e-2)


@torch.inference_mode()
def test_lanes_write_the_same_greedy_text(starter_model: Path, native: NativeEngine) -> None:
    texts = []
    for network in both(starter_model, native):
        lanes = Lanes(network, 0)
        lanes.show(range(300, 420))
        lanes.split([120, 120], 40)
        tokens = [5, 6]
        written = []
        for _ in range(40):
            tokens = lanes.decode(tokens).argmax(-1).tolist()
            written.append(tokens)
        texts.append(written)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "fields", [{"activation_function": "relu"}, {"reorder_and_upcast_attn": True}], ids=["relu", "upcast"]
)
def test_a_network_the_step_does_not_compute_has_none(
    make_model: Callable[..., Path], native: NativeEngine, fields: dict[str, Any]
) -> None:
    assert open_network(make_model(**fields), native=native).step is None


def test_weights_reordered_for_the_operators_are_not_read(tiny_model: Path, native: NativeEngine) -> None:
    assert native_step(native, replace(open_network(tiny_model), step=None)) is None


def test_a_rank_beyond_the_steps_room_leaves_the_operators(
    tiny_model: Path, native: NativeEngine, tmp_path: Path
) -> None:
    network = open_network(tiny_model, native=native)
    adapter = load_adapter(write_adapter(tmp_path / "a", network.config, rank=256), network.config)
    assert mix(network, [(adapter, 1.0)] * 4).step is not None
    assert mix(network, [(adapter, 1.0)] * 5).step is None


def test_a_small_model_writes_by_operators_until_the_step_is_compiled(
    tiny_model: Path, native: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[NativeEngine] = []
    monkeypatch.setattr(loaded, "native_engine", lambda *_, **__: compiled[0] if compiled else None)
    monkeypatch.setattr(loaded, "native_failure", lambda: None)
    room = Room(tiny_model)
    asked: dict[str, Any] = {"settings": SamplerSettings(temperature=0.0), "max_tokens": 10}
    before = takes_of(room.generate("The sea", **asked))[0].text
    plain = room.core.opened.network
    assert plain.step is None
    compiled.append(native)
    assert takes_of(room.generate("The sea", **asked))[0].text == before
    assert isinstance(room.core.opened.network.step, NativeStep)
    network = room.core.opened.network
    room.generate("The sea", **asked)
    assert room.core.opened.network is network
