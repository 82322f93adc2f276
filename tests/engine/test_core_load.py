"""Opening models: what `Ready` says, what is refused, and what stays open."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from storyteller.engine.network import device
from storyteller.engine.network.device import (
    NO_FEW_BITS,
    decodes_alone,
    is_out_of_memory,
    on_processor,
    one_thread,
    place,
    set_threads,
)
from storyteller.engine.network.model_config import load_config
from storyteller.engine.network.weights import parameter_count
from storyteller.engine.protocol import Load, Loading, Notice, Ready
from storyteller.errors import ModelError, UserError
from tests.stubs.tiny_gpt2 import Room, close, open_network, takes_of, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_ready_says_what_is_open(starter_model: Path) -> None:
    room = Room(starter_model)
    ready = room.status[-1]
    assert isinstance(ready, Ready)
    assert (ready.model, ready.device, ready.window, ready.parameters) == ("starter", "cpu", 512, 12_649_600)
    assert ready.dtype == "float32"
    assert len(ready.model_hash) == 32
    fractions = [event.fraction for event in room.status if isinstance(event, Loading)]
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 1.0


def test_no_model_named_opens_the_one_that_ships() -> None:
    from storyteller.engine.core import Core

    core = Core()
    ready = list(core.load(Load(id="l")))[-1]
    assert isinstance(ready, Ready)
    assert ready.model == "starter"
    assert "gpt2-large" in ready.reason


def test_another_model_may_be_opened(tiny_model: Path, starter_model: Path) -> None:
    room = Room(tiny_model)
    room.generate("The sea")
    list(room.core.load(Load(id="again", model=str(starter_model))))
    began = room.generate("The sea")[0]
    assert getattr(began, "reused", 9) <= 1  # the start of a document, perhaps


def test_a_model_that_is_refused_leaves_the_other_open(tiny_model: Path, tmp_path: Path) -> None:
    room = Room(tiny_model)
    before = takes_of(room.generate("The sea"))[0].ids
    bad = write_model(tmp_path / "bad")
    (bad / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelError, match="'llama'"):
        list(room.core.load(Load(id="again", model=str(bad))))
    assert takes_of(room.generate("The sea"))[0].ids == before


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "", "meta", "cuda:-1"])
def test_devices_there_are_none_of(tiny_model: Path, device: str) -> None:
    with pytest.raises(UserError, match="There is no device"):
        Room(tiny_model, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize(("device", "said"), [("cuda", "CUDA is not available"), ("mps", "no Apple GPU")])
def test_a_device_that_is_not_here_is_replaced_and_said(
    tiny_model: Path, device: str, said: str
) -> None:  # safety 37
    room = Room(tiny_model, device=device)
    ready = room.status[-1]
    assert isinstance(ready, Ready)
    assert ready.device == "cpu"
    notices = [event for event in room.status if isinstance(event, Notice)]
    assert len(notices) == 1
    assert said in notices[0].message
    assert takes_of(room.generate("The sea"))


def test_half_precision_writes_too(tiny_model: Path, starter_model: Path) -> None:
    for dtype in ("bfloat16", "float16"):
        room = Room(starter_model, dtype=dtype)
        ready = room.status[-1]
        assert isinstance(ready, Ready)
        assert ready.dtype == dtype
        events = room.generate("The old man", takes=2, max_tokens=8)
        assert all(take.text for take in takes_of(events))


def test_precision_is_chosen_by_size() -> None:
    small, large = place("cpu", "auto", 12_000_000), place("cpu", "auto", 774_000_000)
    assert small.dtype == torch.float32
    assert large.dtype in {torch.float32, torch.bfloat16}
    assert place("cpu", "float16", 1).dtype == torch.float16
    assert on_processor("float16", 774_000_000, "note").dtype == large.dtype
    assert on_processor("float32", 774_000_000, "note").notes == ("note",)


def test_eight_bits_that_would_not_be_fast_are_not_chosen_and_it_is_said(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler is here, and there is no step: it failed, or is forbidden, as in these tests."""
    monkeypatch.setattr(device, "_SMALL", 0)
    monkeypatch.setattr(device, "find_compiler", lambda: "/usr/bin/c++")
    monkeypatch.setattr(device, "_best_dtype", lambda *_: torch.float32)
    for dtype, opened, said in (("auto", "float32", [NO_FEW_BITS]), ("int8", "int8", [])):
        room = Room(tiny_model, dtype=dtype)
        ready = room.status[-1]
        assert isinstance(ready, Ready)
        assert ready.dtype == opened
        assert [event.message for event in room.status if isinstance(event, Notice)] == said
    monkeypatch.setattr(device, "_best_dtype", lambda *_: torch.bfloat16)
    ready = Room(tiny_model, dtype="auto").status[-1]
    assert isinstance(ready, Ready)
    assert ready.dtype == "int8"  # by torch's own product


def test_threads_are_set_once_and_for_a_while() -> None:
    before = torch.get_num_threads()
    try:
        assert set_threads(2) == 2
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        assert set_threads(0) >= 1
    finally:
        torch.set_num_threads(before)
    assert decodes_alone(torch.device("cpu"), 12_000_000)
    assert not decodes_alone(torch.device("cuda"), 12_000_000)
    assert not decodes_alone(torch.device("cpu"), 774_000_000)


def test_what_counts_as_out_of_memory() -> None:
    for error in (
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory"),
        torch.OutOfMemoryError("x"),
    ):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))


def shard(folder: Path, target: Path) -> Path:
    """The same model in two files and an index."""
    target.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(folder / name, target)
    held = load_file(folder / "model.safetensors")
    names = sorted(held)
    files = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, inside in files.items():
        save_file({name: held[name] for name in inside}, target / file)
    index = {"metadata": {}, "weight_map": {name: file for file, inside in files.items() for name in inside}}
    (target / "model.safetensors.index.json").write_text(json.dumps(index))
    return target


def test_weights_in_several_files_are_the_same_model(tiny_model: Path, tmp_path: Path) -> None:
    sharded = open_network(shard(tiny_model, tmp_path / "sharded"))
    whole = open_network(tiny_model)
    assert close(sharded.token_embedding, whole.token_embedding, 0.0)
    x = torch.randn(3, 32)
    assert close(sharded.blocks[2].mlp_in(x), whole.blocks[2].mlp_in(x), 0.0)


def test_old_buffers_in_a_file_are_left_alone(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    held = load_file(folder / "model.safetensors")
    for layer in range(3):
        held[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 64, 64)
        held[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    held["score.weight"] = torch.ones(2, 32)
    save_file(held, folder / "model.safetensors")
    assert takes_of(Room(folder).generate("The sea"))


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_may_be_stored_in_any_float(tmp_path: Path, stored: torch.dtype) -> None:
    network = open_network(write_model(tmp_path, dtype=stored))
    assert network.dtype == torch.float32


def test_parameters_are_counted_from_the_configuration(tiny_model: Path) -> None:
    held = load_file(tiny_model / "model.safetensors")
    assert parameter_count(load_config(tiny_model)) == sum(tensor.numel() for tensor in held.values())


CONFIG_REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"activation_function": "xielu"}, "activation_function 'xielu'"),
    ({"add_cross_attention": True}, "add_cross_attention"),
    ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
    ({"quantization_config": {"load_in_4bit": True}}, "quantization_config"),
    ({"n_head": 5}, "does not divide"),
    ({"n_layer": -1}, "n_layer"),
    ({"n_positions": 7}, "n_positions"),
    ({"n_embd": "wide"}, "n_embd"),
    ({"vocab_size": 10**12}, "vocab_size"),
    ({"layer_norm_epsilon": -1.0}, "layer_norm_epsilon"),
    ({"tie_word_embeddings": "maybe"}, "tie_word_embeddings"),
    ({"model_type": "gpt_neo"}, "'gpt_neo'"),
]


@pytest.mark.parametrize(("fields", "named"), CONFIG_REFUSALS, ids=lambda value: str(value)[:30])
def test_a_configuration_is_honoured_or_refused_by_name(
    tiny_model: Path, tmp_path: Path, fields: dict[str, Any], named: str
) -> None:
    config = json.loads((tiny_model / "config.json").read_text()) | fields
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError) as caught:
        load_config(tmp_path)
    assert named in caught.value.message
    assert str(tmp_path) in caught.value.message


def test_fields_that_invite_to_run_code_are_ignored(make_model: Callable[..., Path]) -> None:  # safety 76
    folder = make_model(
        _attn_implementation_internal="evil/kernel",
        attn_implementation="evil/kernel",
        auto_map={"AutoModelForCausalLM": "evil--modeling.Evil"},
        custom_pipelines={"x": {"impl": "os.system"}},
        transformers_version="99",
    )
    (folder / "modeling.py").write_text("raise SystemExit('this was run')")
    assert takes_of(Room(folder).generate("The sea"))


def test_the_engine_loads_no_library_it_can_do_without() -> None:
    code = "import sys, storyteller.engine.core; print([n for n in ('transformers', 'peft', 'textual', 'rich') if n in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_threads_that_wait_do_not_spin_for_long() -> None:
    """Read by OpenMP when torch is loaded, so it must be set by then; what the user set stays."""
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    code = f"import os, storyteller.engine; print(*(os.environ.get(name) for name in {names}))"
    plain = {name: value for name, value in os.environ.items() if name not in names}
    given: dict[str, str]
    for given, expected in (({}, "PASSIVE 1000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None")):
        shown = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=plain | given
        )
        assert shown.stdout.strip() == expected
