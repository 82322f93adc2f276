"""What others made is taken in only when every check passed; and an active adapter outlives its folder."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from storyteller.engine.catalogue import Found, find_adapters
from storyteller.engine.network.model_config import load_config
from storyteller.engine.protocol import AdapterWeight
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import AdapterError
from storyteller.paths import adapters_dir
from storyteller.training.adapters import shelf
from storyteller.training.adapters.card import CARD, card_json, read_card
from storyteller.training.adapters.intake import take_in
from tests.stubs.adapter_cards import make_card, publish_adapter
from tests.stubs.command import in_process
from tests.stubs.tiny_gpt2 import Room, takes_of, write_adapter, write_model

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS = "adapter_model.safetensors"
PLAIN = SamplerSettings(loop_guard=False, banned_tokens=(0,))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return Found(write_model(tmp_path_factory.mktemp("model") / "tiny"), "tiny", "")


@pytest.fixture
def theirs(model: Found, tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "theirs", load_config(model.path))


def refused(folder: Path, model: Found) -> str:
    with pytest.raises(AdapterError) as caught:
        take_in(folder, "noir", model)
    assert not adapters_dir().exists()
    return caught.value.message


def test_a_good_one_is_taken_in_without_its_invitations_safety_74(  # safety 74
    model: Found, theirs: Path
) -> None:
    settings = json.loads((theirs / "adapter_config.json").read_text())
    hostile = {
        "base_model_name_or_path": "https://evil.example/model",
        "revision": "../../etc/passwd",
        "auto_mapping": {"base_model_class": "os", "parent_library": "subprocess"},
        "megatron_core": "subprocess",
        "layers_pattern": "(a+)+$",
    }
    (theirs / "adapter_config.json").write_text(json.dumps(settings | hostile))
    held = load_file(theirs / WEIGHTS)
    save_file(held, theirs / WEIGHTS, metadata={"evil": "\x1b[2J"})
    published = take_in(theirs, "noir", model)
    kept = json.loads((published / "adapter_config.json").read_text())
    assert set(kept) == {
        "peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "target_modules", "fan_in_fan_out", "bias",
        "inference_mode",
    }  # fmt: skip
    taken = load_file(published / WEIGHTS)
    assert taken.keys() == held.keys()
    assert all(torch.equal(taken[name], held[name]) for name in held)
    assert b"evil" not in (published / WEIGHTS).read_bytes()
    assert find_adapters(model.path) == {"noir": published}


class Canary:
    """Would be seen if a pickle were opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


PICKLES = ("adapter_model.bin", "optimizer.pt", "rng_state.pth", "scheduler.pt", "training_args.bin")


def test_pickles_beside_an_adapter_are_never_opened_nor_taken_along_safety_73(  # safety 73
    model: Found, theirs: Path, tmp_path: Path
) -> None:
    for name in PICKLES:
        (theirs / name).write_bytes(pickle.dumps(Canary(tmp_path / "opened")))
    published = take_in(theirs, "noir", model)
    assert sorted(file.name for file in published.iterdir()) == sorted(
        ["README.md", "adapter_config.json", WEIGHTS, "card.json"]
    )
    for name in PICKLES:  # and none that somebody lays into the shelf
        (published / name).write_bytes(pickle.dumps(Canary(tmp_path / "opened")))
    for command in (
        ["list"],
        ["show", "noir"],
        ["mix", "noir=0.5", "--name", "soft"],
        ["merge", "noir", "--out", str(tmp_path / "merged")],
    ):
        done = in_process("adapters", *command, "--model", str(model.path))
        assert done.code == 0, done.err
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("name", PICKLES)
def test_an_adapter_of_pickles_alone_is_refused_safety_73(  # safety 73
    model: Found, theirs: Path, tmp_path: Path, name: str
) -> None:
    (theirs / WEIGHTS).unlink()
    (theirs / name).write_bytes(pickle.dumps(Canary(tmp_path / "opened")))
    done = in_process("adapters", "import", str(theirs), "--model", str(model.path))
    assert done.code == 2
    assert "pickle files are refused" in done.err
    assert not (tmp_path / "opened").exists()


def test_settings_of_100_mb_are_not_read_safety_74(model: Found, theirs: Path) -> None:  # safety 74
    with (theirs / "adapter_config.json").open("wb") as stream:
        stream.write(b'{"peft_type": "')
        stream.truncate(100_000_000)  # sparse
    assert "64 kB" in refused(theirs, model)


@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
def test_settings_nested_without_end_are_refused_safety_74(  # safety 74
    model: Found, theirs: Path, bracket: bytes
) -> None:
    (theirs / "adapter_config.json").write_bytes((bracket * 100_000)[: 64 * 1024])
    assert "deep" in refused(theirs, model) or "JSON" in refused(theirs, model)


NAME = "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"


def with_header(path: Path, change: Callable[[dict[str, Any]], None], tail: bytes = b"") -> None:
    """Rewrite the header of a safetensors file and leave its numbers as they are."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    written = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(written)) + written + data[8 + length :] + tail)


def overlap(header: dict[str, Any]) -> None:
    other = NAME.replace("h.0", "h.1")
    header[NAME]["data_offsets"] = header[other]["data_offsets"]


def hole(header: dict[str, Any]) -> None:
    for entry in header.values():
        if isinstance(entry, dict) and "data_offsets" in entry:
            start, end = entry["data_offsets"]
            entry["data_offsets"] = [start + 64, end + 64] if start else [start, end]


def crowd(header: dict[str, Any]) -> None:
    header |= {
        f"x{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(100_000)
    }


def dtype_lie(header: dict[str, Any]) -> None:
    header[NAME]["dtype"] = "F16"


def shape_lie(header: dict[str, Any]) -> None:
    header[NAME]["shape"] = [1 << 62, 4]


def beyond(header: dict[str, Any]) -> None:
    header[NAME]["data_offsets"] = [0, 1 << 62]


def negative(header: dict[str, Any]) -> None:
    header[NAME]["data_offsets"] = [-64, 0]


@pytest.mark.parametrize("change", [overlap, hole, crowd, dtype_lie, shape_lie, beyond, negative])
def test_a_header_that_lies_is_refused_safety_75(  # safety 75
    model: Found, theirs: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    with_header(theirs / WEIGHTS, change, b"\0" * 64 if change is hole else b"")
    assert WEIGHTS in refused(theirs, model)


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1, 0, 1 << 20])
def test_a_header_of_impossible_length_is_refused_safety_75(  # safety 75
    model: Found, theirs: Path, length: int
) -> None:
    data = (theirs / WEIGHTS).read_bytes()
    (theirs / WEIGHTS).write_bytes(struct.pack("<Q", length) + data[8:])
    assert WEIGHTS in refused(theirs, model)


def test_what_trails_the_numbers_is_refused_safety_75(model: Found, theirs: Path) -> None:  # safety 75
    with (theirs / WEIGHTS).open("ab") as stream:
        stream.write(b"PK\x03\x04")
    assert WEIGHTS in refused(theirs, model)


def test_an_adapter_of_another_base_is_refused_safety_42(  # safety 42
    model: Found, theirs: Path, tmp_path: Path
) -> None:
    wide = write_model(tmp_path / "medium", n_embd=48)
    assert "another model" in refused(write_adapter(tmp_path / "wide", load_config(wide)), model)
    (theirs / CARD).write_bytes(
        card_json(make_card(base="medium"))
    )  # of the right shape, but not trained on it
    assert "was trained on 'medium'" in refused(theirs, model)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused_safety_42(  # safety 42
    model: Found, theirs: Path, value: float
) -> None:
    held = load_file(theirs / WEIGHTS)
    held[NAME][0, 0] = value
    save_file(held, theirs / WEIGHTS)
    assert "NaN or infinity" in refused(theirs, model)


def test_their_card_is_kept_where_it_names_this_base(model: Found, theirs: Path) -> None:
    from storyteller.engine.model_folder import model_hash

    card = make_card(name="elsewhere", base_hash=model_hash(model.path))
    (theirs / CARD).write_bytes(card_json(card))
    kept = read_card(take_in(theirs, "noir", model))
    assert kept is not None
    assert (kept.name, kept.perplexity_adapter) == ("noir", card.perplexity_adapter)
    assert "Made elsewhere" in kept.notes[-1]


@pytest.mark.parametrize("name", ["", "../../x", "a/b", "[red]x[/]", "a\x1b[2J", "x" * 65])
def test_no_name_leads_out_of_the_shelf_safety_53(model: Found, theirs: Path, name: str) -> None:  # safety 53
    for command in (
        ["import", str(theirs), "--name", name],
        ["mix", f"{name}=1", "--name", "good"],
        ["mix", "good", "--name", name],
        ["show", "--", name],
    ):
        options = ["--model", str(model.path)]
        done = in_process("adapters", command[0], *options, *command[1:])
        assert done.code == 2
        assert "cannot name an adapter" in done.err
        assert "\x1b" not in done.err
    assert not adapters_dir().exists()


# an adapter in use


def ids(room: Room, name: str = "noir") -> tuple[int, ...]:
    events = room.generate("The sea", adapters=(AdapterWeight(name),), settings=PLAIN)
    return tuple(takes_of(events)[0].ids)


def test_an_active_adapter_outlives_its_folder_safety_43(model: Found, tmp_path: Path) -> None:  # safety 43
    publish_adapter(tmp_path, "noir", model.path, load_config(model.path))
    room = Room(model.path)
    before = ids(room)
    shelf.remove("noir")
    assert ids(room) == before
    room.generate("Another text in between")
    assert ids(room) == before
    with pytest.raises(AdapterError, match="no adapter 'noir'"):
        ids(Room(model.path))


def test_a_new_version_is_written_with_from_the_next_request_on_safety_43(  # safety 43
    model: Found, tmp_path: Path
) -> None:
    config = load_config(model.path)
    publish_adapter(tmp_path, "noir", model.path, config)
    room = Room(model.path)
    before = ids(room)
    publish_adapter(tmp_path, "noir", model.path, config, seed=5, rank=6)
    after = ids(room)
    assert after != before
    assert ids(Room(model.path)) == after
    shelf.use("noir", "v0001")
    assert ids(room) == ids(Room(model.path)) == before


def test_an_adapter_gone_or_spoilt_before_it_is_asked_for_is_a_message_safety_43(  # safety 43
    model: Found, tmp_path: Path
) -> None:
    version = publish_adapter(tmp_path, "noir", model.path, load_config(model.path))
    room = Room(model.path)
    (version / WEIGHTS).write_bytes((version / WEIGHTS).read_bytes()[:-8])
    with pytest.raises(AdapterError, match="damaged"):
        ids(room)
    shelf.remove("noir")
    with pytest.raises(AdapterError, match="no adapter 'noir'"):
        ids(room)
    assert takes_of(room.generate("The sea", settings=PLAIN))[0].ids  # and the model writes on without it
