"""How `storyteller` starts, refuses and ends: help, version, exit codes, terminals that are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storyteller import __version__
from storyteller.cli.app import COMMANDS
from storyteller.engine.catalogue import hub_cache
from storyteller.paths import models_dir
from tests.stubs.command import COMMAND, environment, in_process, storyteller
from tests.stubs.model_folders import make_cached_model, make_model

HEAVY = {
    "torch",
    "numpy",
    "transformers",
    "peft",
    "tokenizers",
    "textual",
    "rich",
    "huggingface_hub",
    "typer",
    "msgspec",
}


def test_help_names_every_command_and_imports_none_of_them() -> None:
    code = (
        "import sys; from storyteller.__main__ import main; sys.argv[1:] = ['--help']; code = main();"
        "print(sorted(name.partition('.')[0] for name in sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert not HEAVY & set(eval(done.stderr))


def test_help_within_300_ms() -> None:
    def seconds() -> float:
        started = time.perf_counter()
        assert storyteller("--help").returncode == 0
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = storyteller(command, "--help")
    assert done.returncode == 0
    assert done.stdout.decode().startswith(f"Usage: storyteller {command} ")
    assert done.stderr == b""


def test_version() -> None:
    done = storyteller("--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"storyteller {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--nope"], "No such option"),
        (["a.md", "b.md"], "unexpected extra argument"),
        (["continue", "--takes", "0"], "takes"),
        (["continue", "--top-p", "x"], "top-p"),
        (["continue", "--top-p", "2"], "--top-p 2"),
        (["continue", "--preset", "nope"], "no preset"),
        (["continue", "--genre", "nope"], "no genre"),
        (["continue", "--model", "nope"], "no model"),
        (["continue", "--device", "toaster"], "device"),
        (["continue", "--dtype", "int1"], "dtype"),
        (["continue", "--adapter", "nope"], "no adapter"),
        (["continue", "nowhere.md"], "nowhere.md"),
        (["continue", "."], "folder"),
        (["score"], "nothing to score"),
        (["models", "path", "nope"], "no model"),
        (["models", "nope"], "No such command"),
        (["models"], "Usage: storyteller models"),
        (["continu"], "Perhaps `storyteller continue`?"),
        (["-"], "storyteller continue -"),
        ([""], "empty"),
    ],
)
def test_a_mistake_is_told_in_a_line_and_ends_with_2(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = storyteller(*arguments, cwd=tmp_path, env=environment(PYTHONPATH=str(Path(__file__).parents[2])))
    assert done.returncode == 2
    assert says in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


def test_hostile_arguments_are_shown_as_what_they_are_safety_78() -> None:  # safety 78
    for arguments in (
        ["continue", "--genre", "\x1b]0;owned\x07"],
        ["--\x1b[31m"],
        ["continue", "\x1b[2J[/red].md"],
        ["models", "path", "[@click=quit]x\x9b31m"],
    ):
        done = storyteller(*arguments)
        assert done.returncode == 2
        assert not set(done.stderr) & {0x1B, 0x07}
        assert "\x9b" not in done.stderr.decode()


def test_a_file_name_that_is_not_unicode_safety_16(tmp_path: Path) -> None:  # safety 16
    done = storyteller("continue", os.fsencode(tmp_path) + b"/caf\xe9.md")
    assert done.returncode == 2
    assert b"There is no file" in done.stderr


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"TERM": "xterm-256color"}, "needs a terminal for its input"),
        ({"TERM": "dumb"}, "needs a terminal for its input"),
    ],
)
def test_the_room_needs_a_terminal_and_says_what_does_not_safety_32(  # safety 32
    changes: dict[str, str], says: str
) -> None:
    done = storyteller("novel.md", env=environment(**changes))
    assert done.returncode == 2
    assert says in done.stderr.decode()
    assert "`storyteller continue FILE`" in done.stderr.decode()


@pytest.mark.parametrize(
    ("term", "says"), [("dumb", "TERM is dumb"), (None, "TERM is not set"), ("", "TERM is not set")]
)
def test_the_room_needs_a_terminal_that_places_text_safety_32(
    term: str | None, says: str
) -> None:  # safety 32
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(COMMAND[0], [*COMMAND[1:], "novel.md"], env=environment(TERM=term), timeout=30)
    output = child.read().decode()
    child.close()
    assert child.exitstatus == 2
    assert says in output
    assert "storyteller continue" in output
    assert "\x1b" not in output


@pytest.mark.parametrize(
    ("command", "closed", "code"),
    [
        ("novel.md", "<&-", 2),
        ("novel.md", "<&- >&- 2>&-", 2),
        ("continue", "<&-", 2),
        ("continue", ">&-", 2),
        ("continue", "2>&-", 0),
        ("--help", ">&-", 2),
        ("--help", "<&- 2>&-", 0),
    ],
)
def test_closed_streams_end_in_a_message_or_in_silence_safety_32(  # safety 32
    command: str, closed: str, code: int
) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert b"fault of the program" not in done.stderr
    assert done.returncode == code


def test_no_color_and_the_c_locale_safety_32() -> None:  # safety 32
    done = storyteller("doctor", env=environment(NO_COLOR="1", LANG="C", LC_ALL="C", TERM="dumb"))
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    assert b"Engine" in done.stdout
    assert b"starter" in done.stdout


def test_doctor_json_has_stable_keys(home: Path) -> None:
    done = in_process("doctor", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) == {
        "version", "python", "platform", "libraries", "engine", "terminal", "room", "directories", "settings",
        "library", "consent", "problems",
    }  # fmt: skip
    assert found["engine"]["model"] == "starter"
    assert "gpt2-large" in found["engine"]["reason"]
    assert found["libraries"]["torch"]
    assert {place["what"] for place in found["directories"]} >= {"settings", "data", "state", "cache"}
    assert all(place["writable"] and place["free_bytes"] > 0 for place in found["directories"])
    assert found["consent"] == "not asked yet"
    assert not home.exists(), "looking makes nothing"


def test_doctor_tells_what_is_amiss(home: Path) -> None:
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text('takes = 99\nmodel = "/nowhere"\n')
    (home / "data").mkdir()
    (home / "data" / "library.db").write_bytes(
        b"no database at all, but long enough to be taken for one" * 20
    )
    done = in_process("doctor", "--json")
    assert done.code == 0, done.err
    problems = " ".join(json.loads(done.out)["problems"])
    assert "takes" in problems
    assert "/nowhere" in problems
    assert "library.db" in problems


def test_output_on_a_full_disk_is_no_success() -> None:
    with Path("/dev/full").open("wb") as full:
        done = storyteller("--help", stdout=full)
    assert done.returncode == 1
    assert b"No space left" in done.stderr


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = storyteller("models", "list", stdout=closed)
    assert (done.returncode, done.stderr) == (0, b"")


def test_models_list_has_stable_keys_and_marks_the_one_that_opens() -> None:
    make_model(models_dir() / "gpt2-large")
    make_model(models_dir() / "broken")
    (models_dir() / "broken" / "model.safetensors").write_bytes(b"")
    done = in_process("models", "list", "--json")
    assert done.code == 0, done.err
    lines = {line["name"]: line for line in map(json.loads, done.out.splitlines())}
    assert list(lines["starter"]) == [
        "name", "path", "where", "layers", "width", "context", "bytes", "opens", "problem", "default", "adapters",
    ]  # fmt: skip
    assert [name for name, line in lines.items() if line["default"]] == ["gpt2-large"]
    assert [name for name, line in lines.items() if not line["opens"]] == ["broken"]
    assert "model.safetensors" in lines["broken"]["problem"]
    table = in_process("models", "list").out
    assert all(name in table for name in lines)


def test_verify_says_which_file_is_not_as_it_was() -> None:
    folder = make_cached_model(hub_cache(), "gpt2")
    assert in_process("models", "verify", "gpt2").code == 0
    weights = (folder / "model.safetensors").resolve()
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    done = in_process("models", "verify", "gpt2")
    assert done.code == 2
    (bad,) = [line for line in done.out.splitlines() if "BAD" in line]
    assert str(folder / "model.safetensors") in bad
    assert f"it should be sha256:{weights.name}" in bad
