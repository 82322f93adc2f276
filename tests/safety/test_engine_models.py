"""safety 36, 75, 76: a model that is missing, damaged or hostile is refused with its path and what to do."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from storyteller.engine.network.device import Placement
from storyteller.engine.network.model_config import load_config
from storyteller.engine.network.weights import load_network
from storyteller.errors import ModelError
from tests.stubs.tiny_gpt2 import Room, takes_of, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def refused(folder: Path) -> str:
    """What opening it says, by way of the whole engine and by way of the loader alone."""
    with pytest.raises(ModelError) as caught:
        Room(folder)
    try:
        config = load_config(folder)
    except ModelError:
        return caught.value.message
    with pytest.raises(ModelError):
        list(load_network(folder, config, Placement(torch.device("cpu"), torch.float32)))
    return caught.value.message


def test_a_missing_folder(tmp_path: Path) -> None:  # safety 36
    with pytest.raises(ModelError, match="nowhere"):
        Room(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", WEIGHTS])
def test_a_missing_file(folder: Path, name: str) -> None:  # safety 36
    (folder / name).unlink()
    with pytest.raises(ModelError) as caught:
        Room(folder)
    assert str(folder) in caught.value.message


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[:40],
        lambda data: data[: len(data) - 1],
        lambda data: data + b"x",
        lambda data: struct.pack("<Q", 1 << 63) + data[8:],
        lambda data: struct.pack("<Q", len(data)) + data[8:],
        lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        lambda data: b"<!DOCTYPE html><html>rate limited</html>",
        lambda data: data[:8] + data[8:].replace(b'"F32"', b'"F64"', 1),
        lambda data: data[:8] + data[8:].replace(b'"F32"', b'"BF16"'),
        lambda data: data[:8] + data[8:].replace(b'"F32"', b'"X99"', 1),
        lambda data: data[:8] + data[8:].replace(b'"dtype"', b'"dtypo"', 1),
    ],
)
def test_damaged_weights(folder: Path, damage: Callable[[bytes], bytes]) -> None:  # safety 36, 75
    path = folder / WEIGHTS
    path.write_bytes(damage(path.read_bytes()))
    assert str(path) in refused(folder)


def rewrite_header(path: Path, change: Callable[[dict[str, dict[str, list[int]]]], None]) -> None:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    packed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + data[8 + length :])


def overlap(header: dict[str, dict[str, list[int]]]) -> None:
    names = [name for name in header if name.endswith("ln_1.weight")]
    header[names[0]]["data_offsets"] = header[names[1]]["data_offsets"]


def hole(header: dict[str, dict[str, list[int]]]) -> None:
    del header["transformer.h.0.ln_1.weight"]


def backwards(header: dict[str, dict[str, list[int]]]) -> None:
    header["transformer.h.0.ln_1.weight"]["data_offsets"].reverse()


def huge_shape(header: dict[str, dict[str, list[int]]]) -> None:
    header["transformer.h.0.ln_1.weight"]["shape"] = [1 << 62, 1 << 62]


def negative(header: dict[str, dict[str, list[int]]]) -> None:
    header["transformer.h.0.ln_1.weight"]["shape"] = [-32]


@pytest.mark.parametrize("change", [overlap, hole, backwards, huge_shape, negative])
def test_headers_that_lie(
    folder: Path, change: Callable[[dict[str, dict[str, list[int]]]], None]
) -> None:  # safety 75
    rewrite_header(folder / WEIGHTS, change)
    assert str(folder) in refused(folder)


def test_a_hundred_thousand_entries(folder: Path) -> None:  # safety 75
    def crowd(header: dict[str, dict[str, list[int]]]) -> None:
        end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        for number in range(100_000):
            header[f"h.{number}.x"] = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}  # type: ignore[dict-item] # as JSON

    rewrite_header(folder / WEIGHTS, crowd)
    assert str(folder) in refused(folder)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_header_with_any_bytes_changed_is_refused_or_read(
    folder: Path, places: list[tuple[int, int]]
) -> None:
    """safety 80"""
    path = folder / WEIGHTS
    good = path.read_bytes()
    data = bytearray(good)
    for place, byte in places:
        data[place] = byte
    path.write_bytes(data)
    try:
        list(load_network(folder, load_config(folder), Placement(torch.device("cpu"), torch.float32)))
    except ModelError as error:
        message = error.message
    else:
        message = str(folder)
    path.write_bytes(good)
    assert str(folder) in message


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    held = load_file(folder / WEIGHTS)
    change(held)
    save_file(held, folder / WEIGHTS)


NAME = "transformer.h.1.mlp.c_fc.weight"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda held: held.pop(NAME), "h.1.mlp.c_fc.weight"),
        (
            lambda held: held.update({NAME: torch.zeros(128, 32)}),
            "[128, 32], and config.json asks for [32, 128]",
        ),
        (lambda held: held.update({NAME: torch.zeros(32, 128, dtype=torch.int8)}), "I8 numbers"),
        (lambda held: held.update({NAME: torch.full((32, 128), torch.nan)}), "NaN or infinity"),
        (lambda held: held[NAME].__setitem__((3, 3), torch.inf), "NaN or infinity"),
        (lambda held: held["transformer.wte.weight"].__setitem__((3, 3), torch.nan), "NaN or infinity"),
        (lambda held: held["transformer.ln_f.bias"].__setitem__(3, torch.inf), "NaN or infinity"),
        (lambda held: held.update({"transformer.h.3.ln_1.weight": torch.zeros(32)}), "h.3.ln_1.weight"),
    ],
)
def test_tensors_that_do_not_fit(  # safety 36
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], named: str
) -> None:
    change_tensors(folder, change)
    message = refused(folder)
    assert named in message
    assert str(folder) in message


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "x.bin", ""])
def test_an_index_that_points_elsewhere(folder: Path, name: str) -> None:  # safety 75
    (folder / WEIGHTS).rename(folder / "part.safetensors")
    index = {"weight_map": {"wte.weight": "part.safetensors", "wpe.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model.safetensors.index.json" in refused(folder)


def test_an_index_whose_file_is_missing(folder: Path) -> None:  # safety 36
    (folder / WEIGHTS).rename(folder / "part-1.safetensors")
    index = {"weight_map": {"wte.weight": "part-1.safetensors", "wpe.weight": "part-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert str(folder / "part-2.safetensors") in refused(folder)


def test_the_hash_a_damaged_file_should_have_is_said(folder: Path) -> None:  # safety 36
    path = folder / WEIGHTS
    data = path.read_bytes()
    wanted = hashlib.sha256(data).hexdigest()
    record = {"repo": "x/y", "revision": "main", "files": {WEIGHTS: {"size": len(data), "sha256": wanted}}}
    (folder / "download.json").write_text(json.dumps(record))
    path.write_bytes(data[:-10])
    assert wanted in refused(folder)


class Canary:
    """Would be seen if a pickle were opened."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (Path("canary-was-opened"),)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_refused_with_the_way_to_convert_them(  # safety 73
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(Canary()))
    message = refused(folder)
    assert "pickle" in message
    assert "save_pretrained" in message
    (folder / WEIGHTS).write_bytes(pickle.dumps(Canary()))
    refused(folder)
    assert not (folder / "canary-was-opened").exists()


def test_a_configuration_cannot_invite_code_in(tmp_path: Path) -> None:  # safety 76
    folder = write_model(
        tmp_path / "model",
        _attn_implementation_internal="evil/kernel",
        auto_map={"AutoConfig": "evil--configuration.Evil", "AutoModelForCausalLM": "modeling.Evil"},
    )
    for name in ("modeling.py", "configuration.py", "sitecustomize.py"):
        (folder / name).write_text(f"raise SystemExit('{name} was run')")
    assert takes_of(Room(folder).generate("The sea"))


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "[" * 100_000, '{"model_type": "gpt2", "n_embd": 1e999}', "\x00"]
)
def test_a_damaged_configuration(folder: Path, content: str) -> None:  # safety 36
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError) as caught:
        Room(folder)
    assert str(folder) in caught.value.message
