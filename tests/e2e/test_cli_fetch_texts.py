"""`train --data OWNER/NAME --online`, against a hub on the loopback interface."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from storyteller.cli import fetch_texts
from storyteller.cli.fetch_texts import texts_at
from storyteller.cli.hub import Wanted
from storyteller.errors import CorpusError
from tests.stubs.command import environment, in_process, storyteller
from tests.stubs.hub import COMMIT, Hub, serving
from tests.stubs.tiny_training import verses

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

REPO = "anna/sea-poems"
ROWS = "".join(json.dumps({"text": text}) + "\n" for text in verses())
TEXTS = {"data/train.jsonl": ROWS.encode(), "one.txt": verses(13)[-1].encode()}
LEAVINGS = {
    "README.md": b"# About them",
    "dataset_infos.json": b"{}",
    "loader.py": b"raise SystemExit",
    "picture.png": b"\x89PNG",
    ".gitattributes": b"",
    ".hidden/more.txt": b"hidden",
    "../outside.txt": b"outside",
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(REPO, {**TEXTS, **LEAVINGS}, "datasets") as served:
        yield served


def plan(hub: Hub, *words: str) -> subprocess.CompletedProcess[bytes]:
    """A dry run where the hub is the only machine there is."""
    online = environment(HF_ENDPOINT=hub.url, HF_HUB_OFFLINE=None, TRANSFORMERS_OFFLINE=None)
    return storyteller("train", "--genre", "poetry", "--dry-run", "--json", *words, env=online)


def folder(home: Path) -> Path:
    return home / "cache" / "datasets" / "anna--sea-poems" / COMMIT[:12]


def test_a_data_set_is_fetched_by_its_name_and_learned(hub: Hub, home: Path) -> None:
    done = plan(hub, "--data", REPO, "--online")
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout.splitlines()[0])
    assert planned["documents"] + planned["held_out_documents"] == 13
    found = {str(path.relative_to(folder(home))): path for path in folder(home).rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == TEXTS
    assert hub.fetched() == {"train.jsonl", "one.txt"}
    assert not list(home.rglob("outside.txt"))

    hub.log.clear()
    assert plan(hub, "--data", REPO, "--online").returncode == 0
    assert hub.fetched() == set()


def test_without_online_the_hub_is_not_asked_safety_72(hub: Hub) -> None:  # safety 72
    refused = plan(hub, "--data", REPO)
    assert (refused.returncode, refused.stdout, hub.log) == (2, b"", [])
    assert b"add --online" in refused.stderr


def test_a_data_set_that_is_not_there_is_named(hub: Hub) -> None:
    refused = plan(hub, "--data", "nobody/nothing", "--online")
    assert refused.returncode == 2
    assert b"The hub has no data set nobody/nothing" in refused.stderr


def test_a_file_that_stays_wrong_is_refused_safety_36(hub: Hub, home: Path) -> None:  # safety 36
    hub.corrupt_names.add("one.txt")
    refused = plan(hub, "--data", REPO, "--online")
    assert refused.returncode == 2
    assert b"where the hub says" in refused.stderr
    assert not (folder(home) / "one.txt").exists()


def test_what_is_here_is_no_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "anna" / "sea-poems").mkdir(parents=True)
    here = (tmp_path / "anna", (tmp_path / REPO).relative_to(tmp_path))
    assert texts_at(here, online=False) == here


@pytest.mark.parametrize("name", ["/anna/sea-poems", "anna/sea/poems", "./anna", "anna", "../anna/poems"])
def test_what_cannot_be_a_data_sets_name_is_a_path(name: str) -> None:
    ended = in_process("train", "--genre", "poetry", "--dry-run", "--data", name)
    assert ended.code == 2
    assert "cannot be read" in ended.err


def wanted(*names: str, size: int = 1) -> list[Wanted]:
    return [Wanted(name, size, "git:") for name in names]


def test_tables_are_fetched_where_they_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    files = wanted("a.parquet", "b.csv")
    monkeypatch.setattr(fetch_texts, "find_spec", lambda _: object())
    assert fetch_texts._texts(REPO, files) == files
    monkeypatch.setattr(fetch_texts, "find_spec", lambda _: None)
    assert fetch_texts._texts(REPO, files) == files[1:]
    with pytest.raises(CorpusError, match="pip install pyarrow"):
        fetch_texts._texts(REPO, files[:1])


def test_nothing_to_learn_and_too_much_of_it_are_refused() -> None:
    with pytest.raises(CorpusError, match="no texts"):
        fetch_texts._texts(REPO, wanted("model.bin", "README.md", "data/README.md"))
    with pytest.raises(CorpusError, match=r"3\.0 GB"):
        fetch_texts._texts(REPO, wanted("a.txt", size=3_000_000_000))


@pytest.mark.parametrize(
    "name",
    ["../a.txt", "a/../../b.txt", "/etc/a.txt", ".cache/a.txt", "a\\..\\b.txt", "a\x1b[2J.txt", "a\0.txt"],
)
def test_a_name_that_leads_elsewhere_is_passed_over(name: str) -> None:
    assert not fetch_texts._is_text(name)
