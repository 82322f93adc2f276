# safety 72
"""Nothing but `models get` and `train --online` asks for the network: the engine starts, continues and scores where there is none. Safety 72."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storyteller.engine.client import EngineClient
from storyteller.engine.process.child import engine_command
from storyteller.engine.protocol import Context, Done, Generate, Load, Ready, Score
from storyteller.engine.settings import StopRules
from tests.stubs.engine_client import Heard, all_of

# Imported by every interpreter that finds it: whoever asks for a socket that could leave the machine is named and refused.
GUARD = """
import os, sys

def refuse(event, arguments):
    if event == "socket.__new__" and arguments[1] != 1 or event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        with open(os.environ["NETWORK_WAS_ASKED_FOR"], "a") as file:
            print(event, arguments, sys.argv, file=file)
        raise OSError("there is no network in this test")

sys.addaudithook(refuse)
"""


@pytest.fixture
def asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that appears when an interpreter started from now on asks for the network."""
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    marker = tmp_path / "asked"
    monkeypatch.setenv("PYTHONPATH", str(guard))
    monkeypatch.setenv("NETWORK_WAS_ASKED_FOR", str(marker))
    for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(switch, raising=False)
    return marker


def told(marker: Path) -> str:
    return marker.read_text() if marker.exists() else ""


def may_leave_the_network() -> bool:
    """Whether this user may make network namespaces."""
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-rn", "true"], check=False).returncode == 0


async def use_the_engine(engine: EngineClient, model: Path) -> None:
    heard = Heard(engine)
    await engine.start(Load(id="load", model=str(model), device="cpu", threads=1))
    await heard.next(Ready)
    request = Generate(id="g", context=Context(text="Once upon a time"), stop=StopRules(max_tokens=5), seed=1)
    assert isinstance((await all_of(engine, request))[-1], Done)
    assert (await engine.score(Score(id="s", text="there was a king"))).tokens
    await engine.close()


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket()",
        "import socket; socket.create_connection(('192.0.2.1', 443), 1)",
        "import urllib.request; urllib.request.urlopen('http://192.0.2.1/')",
    ],
)
def test_safety_72_the_guard_would_notice(attempt: str, asked_for: Path) -> None:
    assert subprocess.run([sys.executable, "-c", attempt], capture_output=True, check=False).returncode != 0
    assert told(asked_for)


@pytest.mark.slow
async def test_safety_72_the_engine_asks_for_no_network(asked_for: Path, starter_model: Path) -> None:
    await use_the_engine(EngineClient(), starter_model)
    assert told(asked_for) == ""


@pytest.mark.slow
async def test_safety_72_the_engine_works_where_there_is_no_network(starter_model: Path) -> None:
    """Native code too: a network namespace of its own has not even a loopback that is up."""
    if not may_leave_the_network():
        pytest.skip("this machine does not let us make a network namespace")
    await use_the_engine(EngineClient(command=("unshare", "-rn", *engine_command())), starter_model)


@pytest.mark.parametrize("module", ["storyteller.tui.run", "storyteller.cli.app", "storyteller.engine.core"])
def test_safety_72_importing_asks_for_no_network(module: str, asked_for: Path) -> None:
    repository = Path(__file__).resolve().parents[2]
    subprocess.run(
        [sys.executable, "-c", f"import {module}"], cwd=repository, check=True, capture_output=True
    )
    assert told(asked_for) == ""
