"""`storyteller adapters`, as a shell calls it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.catalogue import find_adapters
from storyteller.engine.network.model_config import load_config
from storyteller.paths import adapters_dir
from tests.stubs.adapter_cards import publish_adapter
from tests.stubs.command import Ended, in_process
from tests.stubs.tiny_gpt2 import write_adapter, write_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def noir(model: Path, tmp_path: Path) -> Path:
    return publish_adapter(tmp_path, "noir", model, load_config(model))


def adapters(model: Path, command: str, *arguments: str) -> Ended:
    return in_process("adapters", command, "--model", str(model), *arguments)


def test_list_names_every_version_and_stars_the_one_in_use(model: Path, noir: Path, tmp_path: Path) -> None:
    newer = publish_adapter(tmp_path, "noir", model, load_config(model), seed=1)
    lines = [json.loads(line) for line in adapters(model, "list", "--json").out.splitlines()]
    assert [(line["version"], line["used"], line["path"]) for line in lines] == [
        ("v0001", False, str(noir)),
        ("v0002", True, str(newer)),
    ]
    assert lines[0] | {"path": "", "used": False} == {
        "name": "noir", "version": "v0001", "path": "", "shipped": False, "used": False, "genre": "stories",
        "base": "tiny", "rank": 4, "perplexity_base": 40.0, "perplexity_adapter": 30.0,
        "created": "2026-11-28T10:00:00+00:00",
    }  # fmt: skip
    shown = adapters(model, "list").out
    assert "v0002" in shown
    assert "40.00" in shown
    assert "30.00" in shown


def test_an_empty_list_says_what_to_do(model: Path) -> None:
    done = adapters(model, "list")
    assert (done.code, done.out) == (0, "")
    assert "no adapters for tiny yet" in done.err


def test_show_prints_the_card(model: Path, noir: Path) -> None:
    assert "-25.0%" in adapters(model, "show", "noir").out
    assert json.loads(adapters(model, "show", "noir", "v0001", "--json").out)["tokens"] == 12_000
    assert "has no version 'v0007'" in adapters(model, "show", "noir", "v0007").err
    (noir / "card.json").unlink()
    done = adapters(model, "show", "noir")
    assert (done.code, "no card" in done.err) == (2, True)


def test_use_and_remove(model: Path, noir: Path, tmp_path: Path) -> None:
    newer = publish_adapter(tmp_path, "noir", model, load_config(model), seed=1)
    assert in_process("adapters", "use", "noir", "v0001").out == "noir v0001\n"
    assert find_adapters(model) == {"noir": noir}
    done = in_process("adapters", "remove", "noir", "v0001")
    assert (done.code, noir.exists()) == (2, True)
    assert "--yes" in done.err
    assert in_process("adapters", "remove", "noir", "v0001", "--yes").out == f"{noir}\n"
    assert find_adapters(model) == {"noir": newer}
    assert in_process("adapters", "remove", "noir", "-y").code == 0
    assert find_adapters(model) == {}


def test_import_mix_merge_and_export(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    theirs = write_adapter(tmp_path / "theirs", load_config(model))
    taken = adapters(model, "import", str(theirs), "--genre", "poetry")
    assert taken.out == f"{adapters_dir() / 'theirs' / 'v0001'}\n"
    assert json.loads(adapters(model, "list", "--json").out)["genre"] == "poetry"
    mixed = adapters(model, "mix", "theirs=0.5", "--name", "half")
    assert mixed.out == f"{adapters_dir() / 'half' / 'v0001'}\n"
    assert "0.5 of theirs/v0001" in adapters(model, "show", "half").out
    assert adapters(model, "merge", "half", "--out", str(tmp_path / "merged")).code == 0
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    file = tmp_path / "half.gguf"
    assert adapters(model, "export", "half", "--gguf", str(file), "--dtype", "f32").out == f"{file}\n"
    assert file.read_bytes()[:4] == b"GGUF"
    again = adapters(model, "merge", "half", "--out", str(tmp_path / "merged"))
    assert (again.code, "is there already" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        (["noir=much"], "a weight is a number"),
        (["noir=nan"], "makes no sense"),
        (["noir=17"], "makes no sense"),
        (["noir", "noir=0.5"], "named twice"),
        (["sonnet"], "no adapter 'sonnet'"),
    ],
)
def test_a_mix_that_cannot_be_says_why(model: Path, noir: Path, parts: list[str], named: str) -> None:
    done = adapters(model, "mix", *parts, "--name", "new")
    assert done.code == 2
    assert named in done.err


def test_a_disk_that_refuses_is_told_and_no_fault_of_the_program(
    model: Path, noir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storyteller.training.adapters.publish.copy_synced", full)
    done = adapters(model, "mix", "noir", "--name", "new")
    assert done.code == 2
    assert "No space left on device" in done.err
    assert "fault" not in done.err
