"""safety 42, 73, 74, 75: what others made is checked to the letter before a number of it is used."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from storyteller.engine.network.adapters import load_adapter
from storyteller.engine.network.model_config import ModelConfig
from storyteller.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = ModelConfig(vocab_size=40, n_positions=16, n_embd=8, n_layer=2, n_head=2)
GOOD: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 2,
    "lora_alpha": 4,
    "lora_dropout": 0.05,
    "target_modules": ["c_attn", "c_proj"],
    "fan_in_fan_out": True,
    "bias": "none",
    "base_model_name_or_path": "https://evil.example/model",
    "revision": "../../etc/passwd",
    "auto_mapping": {"base_model_class": "os", "parent_library": "subprocess"},
    "megatron_core": "subprocess",
    "inference_mode": True,
    "init_lora_weights": True,
    "use_dora": False,
    "rank_pattern": {},
}


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"attn.c_attn": (8, 24), "attn.c_proj": (8, 8), "mlp.c_proj": (32, 8)}
    made = {}
    for layer in range(2):
        for part, (inputs, outputs) in shapes.items():
            name = f"base_model.model.transformer.h.{layer}.{part}"
            made[f"{name}.lora_A.weight"] = torch.randn(2, inputs, generator=generator)
            made[f"{name}.lora_B.weight"] = torch.randn(outputs, 2, generator=generator)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "adapter_config.json").write_text(json.dumps(GOOD))
    save_file(tensors(), tmp_path / "adapter_model.safetensors")
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(AdapterError) as caught:
        load_adapter(folder, CONFIG)
    return caught.value.message


def test_a_good_one_is_accepted_and_its_invitations_are_ignored(folder: Path) -> None:
    adapter = load_adapter(folder, CONFIG)
    assert (adapter.rank, adapter.scale) == (2, 2.0)
    assert set(adapter.layers[1]) == {"attn.c_attn", "attn.c_proj", "mlp.c_proj"}


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("r", 0, "r must be"),
        ("r", 257, "r must be"),
        ("r", True, "r must be"),
        ("r", "2", "r must be"),
        ("lora_alpha", 1e9, "lora_alpha must be"),
        ("lora_alpha", -1, "lora_alpha must be"),
        ("lora_alpha", None, "lora_alpha must be"),
        ("lora_dropout", 2, "lora_dropout must be"),
        ("peft_type", "LOHA", "peft_type must be LORA"),
        ("task_type", "SEQ_CLS", "task_type must be"),
        ("bias", "all", "bias must be none"),
        ("use_dora", True, "use_dora is set"),
        ("use_rslora", True, "use_rslora is set"),
        ("modules_to_save", ["lm_head"], "modules_to_save is set"),
        ("rank_pattern", {"c_attn": 9}, "rank_pattern is set"),
        ("alpha_pattern", {"c_attn": 9}, "alpha_pattern is set"),
        ("layer_replication", [[0, 2]], "layer_replication is set"),
        ("init_lora_weights", "pissa", "changes the model's own weights"),
        ("target_modules", ["lm_head"], "names 'lm_head'"),
        ("target_modules", [], "at least one"),
        ("target_modules", ".*", "names '.*'"),
        ("target_modules", [7], "names 7"),
        ("fan_in_fan_out", "yes", "fan_in_fan_out must be"),
    ],
)
def test_settings_are_refused_by_name(
    folder: Path, field: str, value: object, named: str
) -> None:  # safety 42, 74
    (folder / "adapter_config.json").write_text(json.dumps(GOOD | {field: value}))
    assert named in refused(folder)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "JSON"),
        (b"[]", "JSON object"),
        (b'{"r": NaN}', "NaN is no number"),
        (b'{"r": 2, "r": 3}', "twice"),
        (b"[" * 60_000, "deep"),
        (b'{"a":' * 12 + b"1" + b"}" * 12, "deep"),
        (b"\xff\xfe", "JSON"),
        (b" " * 70_000 + b"{}", "64 kB"),
        (json.dumps({"x": "y" * 100_000}).encode(), "64 kB"),
    ],
)
def test_a_hostile_settings_file_is_refused(folder: Path, content: bytes, named: str) -> None:  # safety 74
    (folder / "adapter_config.json").write_bytes(content)
    assert named in refused(folder)


class Canary:
    """Would be seen if a pickle were opened."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (Path("canary-was-opened"),)


def test_pickles_are_never_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # safety 73
    monkeypatch.chdir(folder)
    (folder / "adapter_model.safetensors").unlink()
    for name in ("adapter_model.bin", "rng_state.pth", "optimizer.pt"):
        (folder / name).write_bytes(pickle.dumps(Canary()))
    assert "pickle files are refused" in refused(folder)
    (folder / "adapter_model.safetensors").write_bytes(pickle.dumps(Canary()))
    refused(folder)
    assert not (folder / "canary-was-opened").exists()


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    path = folder / "adapter_model.safetensors"
    held = load_file(path)
    change(held)
    save_file(held, path)


NAME = "base_model.model.transformer.h.1.attn.c_attn.lora_A.weight"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda held: held.pop(NAME), "has no lora_A for attn.c_attn of layer 1"),
        (lambda held: held.update({NAME: torch.zeros(3, 8)}), "has shape [3, 8]"),
        (lambda held: held.update({NAME: torch.full((2, 8), torch.nan)}), "NaN or infinity"),
        (lambda held: held.update({NAME: torch.full((2, 8), torch.inf)}), "NaN or infinity"),
        (lambda held: held.update({NAME: torch.zeros(2, 8, dtype=torch.int64)}), "I64 numbers"),
        (lambda held: held.update({"base_model.model.lm_head.weight": torch.zeros(1)}), "no part of a LoRA"),
        (lambda held: held.update({NAME.replace("h.1", "h.9"): torch.zeros(2, 8)}), "adapts layer 9"),
        (
            lambda held: held.update({NAME.replace("attn.c_attn", "mlp.c_fc"): torch.zeros(2, 8)}),
            "target_modules",
        ),
        (lambda held: held.update({NAME.replace("transformer.", ""): torch.zeros(2, 8)}), "twice"),
    ],
)
def test_tensors_are_refused_by_name(  # safety 42
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], named: str
) -> None:
    rewrite(folder, change)
    assert named in refused(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:7],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"trailing",
        lambda data: struct.pack("<Q", 1 << 63) + data[8:],
        lambda data: struct.pack("<Q", (1 << 20) + 1) + data[8:] + b" " * (1 << 21),
        lambda data: data[:8] + data[8:].replace(b"F32", b"F64", 1),
        lambda data: data[:8] + data[8:].replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1),
    ],
)
def test_a_damaged_weights_file_is_refused(
    folder: Path, damage: Callable[[bytes], bytes]
) -> None:  # safety 75
    path = folder / "adapter_model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    refused(folder)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_bytes_changed_are_refused_or_harmless(
    folder: Path, places: list[tuple[int, int]]
) -> None:  # safety 80
    path = folder / "adapter_model.safetensors"
    good = path.read_bytes()
    data = bytearray(good)
    for place, byte in places:
        data[place % len(data)] = byte
    path.write_bytes(data)
    try:
        adapter = load_adapter(folder, CONFIG)
        assert all(
            a.isfinite().all() and b.isfinite().all() for one in adapter.layers for a, b in one.values()
        )
    except AdapterError:
        pass
    finally:
        path.write_bytes(good)


def test_what_is_no_regular_file_is_refused(folder: Path) -> None:
    import os

    (folder / "adapter_config.json").unlink()
    os.mkfifo(folder / "adapter_config.json")
    assert "is missing" in refused(folder)
