"""No command but `models get` and `train --online` touches the network: where there is none, and where touching it is noticed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from storyteller.cli import app
from tests.stubs.command import COMMAND, environment, storyteller

REPOSITORY = Path(__file__).resolve().parents[2]

# Imported by Python before anything else: every attempt to reach another machine is noted, and fails.
SITE = """
import atexit, os, socket, sys

def note(what):
    with open(os.environ["TOUCHED"], "a") as file:
        file.write(f"{sys.argv} {what}\\n")

def refuse(name):
    def refused(*arguments, **options):
        note(f"{name} {arguments[1:]}")
        raise OSError(f"the network was touched: {name}")
    return refused

class Socket(socket.socket):
    def connect(self, address):
        if self.family == socket.AF_UNIX:
            return super().connect(address)
        note(f"connect {address}")
        raise OSError("the network was touched")
    connect_ex = connect
    def sendto(self, *arguments):
        if self.family == socket.AF_UNIX:
            return super().sendto(*arguments)
        note("sendto")
        raise OSError("the network was touched")

socket.socket = Socket
socket.getaddrinfo = refuse("getaddrinfo")
socket.gethostbyname = refuse("gethostbyname")
socket.create_connection = refuse("create_connection")

def switches():
    with open(os.environ["SWITCHES"], "a") as file:
        file.write(f"{os.environ.get('HF_HUB_OFFLINE')} {os.environ.get('TRANSFORMERS_OFFLINE')}\\n")
atexit.register(switches)
"""
COMMANDS = [
    ["--help"],
    ["--version"],
    ["continue", "--max-tokens", "2"],
    ["score", "--json"],
    ["models", "list"],
    ["models", "path", "starter"],
    ["models", "verify"],
    ["models", "path", "gpt2-large"],
    ["continue", "--model", "gpt2-large"],
    ["adapters", "list"],
    ["feedback", "stats"],
    ["train", "--genre", "poetry", "--data", "owner/name", "--dry-run"],
    ["pretrain", "--recipe", str(REPOSITORY / "assets/starter/recipe-cpu.toml"), "--data", "owner/name"],
    ["genres", "list"],
    ["corpus", "list"],
    ["eval", "perplexity", "-"],
    ["bench", "engine", "--model", "gpt2-large"],
    ["open", "--preset", "owner/name"],
    ["doctor"],
]


def test_every_command_is_among_them() -> None:
    assert {words[0] for words in COMMANDS} >= {*app.COMMANDS}


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, str]:
    """An environment in which touching the network leaves a note in `TOUCHED`."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    return environment(
        PYTHONPATH=os.pathsep.join([str(tmp_path / "site"), str(REPOSITORY)]),
        TOUCHED=str(tmp_path / "touched"),
        SWITCHES=str(tmp_path / "switches"),
        HF_HUB_OFFLINE=None,
        TRANSFORMERS_OFFLINE=None,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_command_touches_the_network_safety_72(  # safety 72
    arguments: list[str], watched: dict[str, str], tmp_path: Path
) -> None:
    done = storyteller(*arguments, stdin=b"The rain", env=watched)
    assert done.returncode == (2 if {"gpt2-large", "owner/name"} & {*arguments} else 0), done.stderr
    assert not (tmp_path / "touched").exists(), (tmp_path / "touched").read_text()
    assert (tmp_path / "switches").read_text() == "1 1\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "get", "gpt2-large"],
        ["train", "--genre", "poetry", "--data", "owner/name", "--online", "--dry-run"],
    ],
    ids=" ".join,
)
def test_the_watch_sees_what_does_touch_it_safety_72(
    arguments: list[str], watched: dict[str, str], tmp_path: Path
) -> None:  # safety 72
    done = storyteller(*arguments, env=watched)
    assert done.returncode == 1
    assert (tmp_path / "touched").exists()


def test_continue_works_where_there_is_no_network_at_all_safety_72() -> None:  # safety 72
    unshare = shutil.which("unshare")
    if (
        unshare is None
        or subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no network namespaces here")
    done = subprocess.run(
        [unshare, "-rn", *COMMAND, "continue", "--json", "--max-tokens", "3"],
        input=b"The rain",
        capture_output=True,
        env=environment(HF_HUB_OFFLINE=None),
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["ids"]) == 3
