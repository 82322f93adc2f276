"""`models get` and `models verify`, against a hub on the loopback interface."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.stubs.command import COMMAND, environment, storyteller, wait_until
from tests.stubs.hub import COMMIT, Hub, serving
from tests.stubs.model_folders import CONFIG, make_model, safetensors_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPO = "openai-community/gpt2-large"
WEIGHTS = safetensors_bytes(
    bytes(range(256)) * 50_000
)  # past the 10 MB pieces in which the hub's library reads
ONLINE: dict[str, str | None] = {"HF_HUB_OFFLINE": None, "TRANSFORMERS_OFFLINE": None}
LEAVINGS = {"pytorch_model.bin": b"a pickle", "onnx/config.json": b"{}", "README.md": b"#", "64.tflite": b"?"}
MODEL = {"config.json": json.dumps(CONFIG).encode(), "tokenizer.json": b"{}", "model.safetensors": WEIGHTS}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(REPO, {**MODEL, **LEAVINGS}) as served:
        yield served


def models(hub: Hub | None, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[bytes]:
    url = hub.url if hub else "http://127.0.0.1:9"
    return storyteller("models", *arguments, env=environment(HF_ENDPOINT=url, **{**ONLINE, **changes}))


def folder(home: Path) -> Path:
    return home / "data" / "models" / "gpt2-large"


def test_get_brings_the_model_and_nothing_else(hub: Hub, home: Path) -> None:
    done = models(hub, "get", "gpt2-large")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"{folder(home)}\n"
    assert {path.name for path in folder(home).iterdir()} == {*MODEL, "download.json"}
    assert hub.fetched() == set(MODEL)
    record = json.loads((folder(home) / "download.json").read_text())
    assert (record["repo"], record["revision"]) == (REPO, COMMIT)
    assert {name: entry["size"] for name, entry in record["files"].items()} == {
        name: len(data) for name, data in MODEL.items()
    }
    assert [path.name for path in folder(home).parent.iterdir()] == ["gpt2-large"]

    hub.log.clear()
    again = models(hub, "get", "gpt2-large")
    assert (again.returncode, hub.log) == (0, [])
    assert b"here already" in again.stderr

    assert models(hub, "path", "gpt2-large").stdout.decode() == f"{folder(home)}\n"
    assert models(hub, "verify", "gpt2-large").returncode == 0
    (folder(home) / "model.safetensors").write_bytes(WEIGHTS[:-1] + b"\0")
    found = models(hub, "verify", "gpt2-large")
    assert found.returncode == 2
    expected = record["files"]["model.safetensors"]["sha256"].encode()
    assert b"it should be sha256:" + expected in found.stdout

    hub.log.clear()
    assert models(hub, "get", "gpt2-large", "--again").returncode == 0
    assert hub.fetched() == {"model.safetensors"}
    assert (folder(home) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_comparison_leaves_the_model_in_use_until_what_differs_is_here(hub: Hub, home: Path) -> None:
    assert models(hub, "get", "gpt2-large").returncode == 0
    (folder(home) / "notes.md").write_text("mine")
    (folder(home) / "old.safetensors").write_bytes(b"of another revision")
    hub.corrupt = 9
    hub.files["model.safetensors"] = WEIGHTS[:-8] + b"differs!"
    assert models(hub, "get", "gpt2-large", "--again").returncode == 2
    assert (folder(home) / "model.safetensors").read_bytes() == WEIGHTS

    hub.corrupt = 0
    left = home / "data" / "models" / ".gpt2-large.partial" / "model.safetensors.part"
    left.write_bytes(WEIGHTS + b"more than there is")
    assert models(hub, "get", "gpt2-large", "--again").returncode == 0
    assert (folder(home) / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert {path.name for path in folder(home).iterdir()} == {*MODEL, "download.json", "notes.md"}
    assert [path.name for path in folder(home).parent.iterdir()] == ["gpt2-large"]


def test_get_with_the_revision_that_is_here_asks_nobody_and_with_another_asks_the_hub(hub: Hub) -> None:
    assert models(hub, "get", "gpt2-large").returncode == 0
    hub.log.clear()
    same = models(hub, "get", "gpt2-large", "--revision", COMMIT)
    assert (same.returncode, hub.log) == (0, [])
    other = models(hub, "get", "gpt2-large", "--revision", "before")
    assert other.returncode == 0, other.stderr
    assert b"here already" not in other.stderr
    assert any(path.endswith("/revision/before") for _, path, _ in hub.log)


def damaged(home: Path) -> None:
    """A model as a broken disk might leave it."""
    make_model(folder(home))
    (folder(home) / "model.safetensors").write_bytes(b"cut sh")
    (folder(home) / "download.json").write_text(json.dumps({"repo": REPO, "revision": COMMIT, "files": {}}))


def test_get_mends_a_model_that_cannot_be_opened(hub: Hub, home: Path) -> None:
    damaged(home)
    assert models(hub, "get", "gpt2-large").returncode == 0
    assert (folder(home) / "model.safetensors").read_bytes() == WEIGHTS
    assert [path.name for path in folder(home).parent.iterdir()] == ["gpt2-large"]


def test_get_without_a_network_leaves_a_damaged_model_where_it_is(home: Path) -> None:
    damaged(home)
    assert models(None, "get", "gpt2-large").returncode == 1
    assert (folder(home) / "model.safetensors").read_bytes() == b"cut sh"


def test_get_is_interrupted_and_goes_on_where_it_stopped(hub: Hub, home: Path) -> None:
    hub.stall = 11_000_000
    running = subprocess.Popen(
        [*COMMAND, "models", "get", "gpt2-large"],
        env=environment(HF_ENDPOINT=hub.url, **ONLINE),
        stderr=subprocess.PIPE,
    )
    growing = home / "data" / "models" / ".gpt2-large.partial" / "model.safetensors.part"
    assert hub.stalled.wait(60)
    assert wait_until(lambda: growing.exists() and growing.stat().st_size > 5_000_000)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert b"Traceback" not in errors
    assert not folder(home).exists()

    hub.stall = None
    hub.log.clear()
    done = models(hub, "get", "gpt2-large")
    assert done.returncode == 0, done.stderr
    ranges = [
        wanted for method, path, wanted in hub.log if path.endswith("model.safetensors") and method == "GET"
    ]
    assert len(ranges) == 1
    assert int(ranges[0].removeprefix("bytes=").partition("-")[0]) > 5_000_000
    assert (folder(home) / "model.safetensors").read_bytes() == WEIGHTS


def test_get_fetches_a_wrong_file_once_more_safety_36(hub: Hub, home: Path) -> None:  # safety 36
    hub.corrupt = 1
    assert models(hub, "get", "gpt2-large").returncode == 0
    assert (folder(home) / "model.safetensors").read_bytes() == WEIGHTS


def test_get_refuses_a_file_that_stays_wrong_with_its_path_and_hash_safety_36(
    hub: Hub, home: Path
) -> None:  # safety 36
    hub.corrupt = 9
    refused = models(hub, "get", "gpt2-large")
    assert refused.returncode == 2
    assert b"model.safetensors" in refused.stderr
    assert b"where the hub says sha256:" in refused.stderr
    assert not folder(home).exists()


def test_get_asks_the_config_before_the_weights(hub: Hub) -> None:
    hub.files["config.json"] = b'{"model_type": "llama"}'
    refused = models(hub, "get", "gpt2-large")
    assert refused.returncode == 2
    assert b"'llama'" in refused.stderr
    assert hub.fetched() == {"config.json"}


def test_get_refuses_a_model_of_pickles_safety_73(hub: Hub) -> None:  # safety 73
    del hub.files["model.safetensors"]
    refused = models(hub, "get", "gpt2-large")
    assert refused.returncode == 2
    assert b"pickles are never opened" in refused.stderr
    assert hub.fetched() == set()


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("nobody/nothing", 2, b"no model nobody/nothing"),
        ("../x", 2, b"no model's name"),
        ("a b", 2, b"no model's name"),
    ],
)
def test_get_names_what_it_cannot_find(name: str, code: int, says: bytes, hub: Hub) -> None:
    refused = models(hub, "get", name)
    assert refused.returncode == code
    assert says in refused.stderr


def test_get_without_a_network_says_so_and_leaves_no_traceback() -> None:
    refused = models(None, "get", "gpt2-large")
    assert refused.returncode == 1
    assert b"Check the network" in refused.stderr
    assert b"Traceback" not in refused.stderr


def test_get_obeys_the_switch_of_the_one_who_set_it_safety_72(hub: Hub) -> None:  # safety 72
    refused = storyteller(
        "models", "get", "gpt2-large", env=environment(HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    )
    assert refused.returncode == 2
    assert b"HF_HUB_OFFLINE is set" in refused.stderr
    assert hub.log == []


@pytest.mark.parametrize("arguments", [(), ("--again",)])
def test_get_never_touches_a_model_of_the_writers_own(
    arguments: tuple[str, ...], hub: Hub, home: Path
) -> None:
    make_model(folder(home), weights=b"years of work")
    if not arguments:
        (folder(home) / "tokenizer.json").unlink()
    before = {path.name: path.read_bytes() for path in folder(home).iterdir()}
    refused = models(hub, "get", "gpt2-large", *arguments)
    assert refused.returncode == 2
    assert b"was not fetched by storyteller" in refused.stderr
    assert {path.name: path.read_bytes() for path in folder(home).iterdir()} == before
