"""Versions on the shelf: published whole, chosen by a pointer, removed only where they are ours."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.catalogue import find_adapters, model_hash
from storyteller.engine.network.adapter_config import read_adapter_config
from storyteller.errors import AdapterError
from storyteller.paths import adapters_dir
from storyteller.training.adapters import shelf
from storyteller.training.adapters.card import read_card
from storyteller.training.adapters.publish import publish
from tests.conftest import REPOSITORY
from tests.stubs.adapter_cards import make_card
from tests.stubs.model_folders import make_adapter, make_model

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.training.adapters.card import Card

SETTINGS = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.05,
    "target_modules": ["c_attn", "mlp.c_proj"],
    "base_model_name_or_path": "/home/ada/secret/model",
    "revision": "main",
    "auto_mapping": {"parent_library": "subprocess"},
    "megatron_core": "subprocess",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(SETTINGS))
    (folder / "adapter_model.safetensors").write_bytes(b"numbers")
    (folder / "optimizer.pt").write_bytes(b"not to be taken along")
    return folder


def card_for(model: Path) -> Card:
    return make_card(base_hash=model_hash(model))


def test_a_version_is_published_whole_and_in_use(model: Path, trained: Path) -> None:
    card = card_for(model)
    first = publish("noir", trained, card)
    assert first == adapters_dir() / "noir" / "v0001"
    assert sorted(file.name for file in first.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "card.json",
    ]  # fmt: skip
    assert (first / "adapter_model.safetensors").read_bytes() == b"numbers"
    assert read_card(first) == card
    assert find_adapters(model) == {"noir": first}
    second = publish("noir", trained, card)
    assert find_adapters(model) == {"noir": second}
    assert [entry.name for entry in sorted((adapters_dir() / "noir").iterdir())] == [
        "current",
        "v0001",
        "v0002",
    ]
    assert stat.S_IMODE((adapters_dir() / "noir").stat().st_mode) == 0o700


def test_the_settings_published_are_those_of_plain_lora_alone_safety_74(  # safety 74
    model: Path, trained: Path
) -> None:
    published = publish("noir", trained, card_for(model))
    settings = json.loads((published / "adapter_config.json").read_text())
    assert not settings.keys() & {"base_model_name_or_path", "revision", "auto_mapping", "megatron_core"}
    assert "secret" not in "".join(file.read_text() for file in published.iterdir())
    assert read_adapter_config(published) == read_adapter_config(trained)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../../x",
        "a/b",
        "Noir",
        "no ir",
        ".hidden",
        "-x",
        "a" * 65,
        "[red]x[/]",
        "a\x1b[2J",
        "noir\n",
        "none",
    ],
)
def test_what_cannot_name_an_adapter_is_refused_everywhere_safety_53(  # safety 53
    name: str, model: Path, trained: Path
) -> None:
    for act in (
        lambda: publish(name, trained, card_for(model)),
        lambda: shelf.use(name),
        lambda: shelf.remove(name),
        lambda: shelf.find_adapter(name, model),
    ):
        with pytest.raises(AdapterError, match="cannot name an adapter"):
            act()
    assert not adapters_dir().exists()


@pytest.mark.parametrize("version", ["", "..", "../noir", "v1", "v0002/../v0001", "current"])
def test_a_version_is_never_a_path_safety_53(version: str, model: Path, trained: Path) -> None:  # safety 53
    publish("noir", trained, card_for(model))
    for act in (shelf.use, shelf.remove):
        with pytest.raises(AdapterError, match="has no version"):
            act("noir", version)
    assert find_adapters(model)


def test_a_failed_publication_leaves_what_was(
    model: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish("noir", trained, card_for(model))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storyteller.training.adapters.publish.copy_synced", full)
    with pytest.raises(OSError, match="No space"):
        publish("noir", trained, card_for(model))
    assert find_adapters(model) == {"noir": first}
    assert sorted(entry.name for entry in first.parent.iterdir()) == ["current", "v0001"]


def test_killed_while_publishing_it_leaves_what_was_and_the_next_one_tidies_up(
    tmp_path: Path, model: Path, trained: Path
) -> None:
    first = publish("noir", trained, card_for(model))
    program = f"""
import os, signal
from pathlib import Path
from storyteller.training.adapters import publish as publishing
from storyteller.training.adapters.card import read_card
publishing._take_next_version = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
publishing.publish("noir", Path({str(trained)!r}), read_card(Path({str(first)!r})))
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert find_adapters(model) == {"noir": first}
    assert len(list(first.parent.iterdir())) == 3
    second = publish("noir", trained, card_for(model))
    assert sorted(entry.name for entry in first.parent.iterdir()) == ["current", "v0001", "v0002"]
    assert find_adapters(model) == {"noir": second}


def test_a_version_that_somebody_else_takes_first_is_left_to_them(
    model: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("noir", trained, card_for(model))
    answers = iter([[], ["v0001"]])
    monkeypatch.setattr("storyteller.training.adapters.publish.versions", lambda _: next(answers))
    assert publish("noir", trained, card_for(model)).name == "v0002"


def test_use_flips_between_versions(model: Path, trained: Path) -> None:
    first, second = (publish("noir", trained, card_for(model)) for _ in range(2))
    assert shelf.use("noir", "v0001") == "v0001"
    assert find_adapters(model) == {"noir": first}
    assert shelf.use("noir") == "v0002"
    assert find_adapters(model) == {"noir": second}
    with pytest.raises(AdapterError, match="has no version 'v0009'"):
        shelf.use("noir", "v0009")


def test_a_pointer_that_cannot_be_written_stays(
    model: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        publish("noir", trained, card_for(model))

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("storyteller.atomic.os.replace", broken)
    with pytest.raises(OSError, match="Input/output"):
        shelf.use("noir", "v0001")
    assert find_adapters(model)["noir"].name == "v0002"


def test_versions_sort_by_age_past_9999(model: Path, trained: Path) -> None:
    home = publish("noir", trained, card_for(model)).parent
    (home / "v0001").rename(home / "v9999")
    assert publish("noir", trained, card_for(model)).name == "v10000"
    assert shelf.versions("noir") == ["v9999", "v10000"]


def test_one_name_has_a_version_for_each_base(tmp_path: Path, model: Path, trained: Path) -> None:
    other = make_model(tmp_path / "large", weights=b"others!!")
    for_model = publish("noir", trained, card_for(model))
    for_other = publish("noir", trained, card_for(other))
    assert find_adapters(model) == {"noir": for_model}
    assert find_adapters(other) == {"noir": for_other}
    assert [one.version for one in shelf.list_versions(model)] == ["v0001"]
    every = [one for one in shelf.list_versions(model, every_base=True) if not one.shipped]
    assert [one.used for one in every] == [True, False]


def test_removing_the_version_in_use_brings_back_the_one_before(model: Path, trained: Path) -> None:
    first, second = (publish("noir", trained, card_for(model)) for _ in range(2))
    assert shelf.remove("noir", "v0002") == [second]
    assert find_adapters(model) == {"noir": first}
    assert shelf.remove("noir") == [first]
    assert not (adapters_dir() / "noir").exists()


def test_what_is_not_ours_is_never_removed(tmp_path: Path, model: Path, trained: Path) -> None:
    by_hand = make_adapter(adapters_dir() / "by-hand")
    with pytest.raises(AdapterError, match="put there by hand"):
        shelf.remove("by-hand")
    version = publish("noir", trained, card_for(model))
    (version / "thesis.txt").write_text("precious")
    with pytest.raises(AdapterError, match=r"not made by storyteller .*thesis\.txt"):
        shelf.remove("noir")
    (version / "thesis.txt").rename(tmp_path / "thesis.txt")
    (version / "card.json").write_text("{}")
    with pytest.raises(AdapterError, match="not made by storyteller"):
        shelf.remove("noir")
    assert by_hand.is_dir()
    assert (version / "adapter_model.safetensors").exists()


def test_a_link_is_never_followed_to_remove(tmp_path: Path, model: Path, trained: Path) -> None:
    real = publish("noir", trained, card_for(model))
    elsewhere = tmp_path / "elsewhere"
    real.rename(elsewhere)
    real.symlink_to(elsewhere)
    with pytest.raises(AdapterError, match="is a link"):
        shelf.remove("noir")
    assert (elsewhere / "card.json").exists()


def test_the_writers_own_file_beside_the_versions_stays(model: Path, trained: Path) -> None:
    home = publish("noir", trained, card_for(model)).parent
    (home / "notes.txt").write_text("mine")
    shelf.remove("noir")
    assert [entry.name for entry in home.iterdir()] == ["notes.txt"]


def test_shipped_adapters_are_listed_and_stay(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("engine.catalogue", "training.adapters.shelf"):
        monkeypatch.setattr(f"storyteller.{module}.bundled_adapters_dir", lambda: tmp_path / "shipped")
    shipped = make_adapter(tmp_path / "shipped" / "poetry", base_hash=model_hash(model))
    (one,) = shelf.list_versions(model)
    assert (one.name, one.path, one.shipped, one.used) == ("poetry", shipped, True, True)
    for act in (shelf.use, shelf.remove):
        with pytest.raises(AdapterError, match="ships with storyteller"):
            act("poetry")
    with pytest.raises(AdapterError, match="no adapter of that name"):
        shelf.remove("sonnets")
    assert shipped.is_dir()
