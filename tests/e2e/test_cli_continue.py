"""`continue` and `score` on the starter model, as a shell runs them."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from storyteller.engine.network.model_config import load_config
from storyteller.genres import genres_path
from storyteller.paths import adapters_dir
from tests.stubs.command import COMMAND, environment, in_process, storyteller
from tests.stubs.tiny_gpt2 import write_adapter

if TYPE_CHECKING:
    from pathlib import Path

DRAFT = "The lamp had burned low by the time Ada found the second letter. She read it twice, and then"
KEYS = ["take", "text", "ids", "logprobs", "finish", "seconds", "first_token_s", "seed"]


def takes(*arguments: str, text: str = DRAFT) -> list[dict[str, Any]]:
    done = in_process("continue", "--json", *arguments, stdin=text.encode())
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_a_seed_gives_the_same_text_twice_and_another_seed_another() -> None:
    first, again = (
        storyteller("continue", "--seed", "7", "--max-tokens", "30", stdin=DRAFT.encode()) for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip()
    assert first.stdout == again.stdout
    other = in_process("continue", "--seed", "8", "--max-tokens", "30", stdin=DRAFT.encode())
    assert other.out != first.stdout.decode()


def test_text_and_nothing_else_on_standard_output_notices_on_standard_error(tmp_path: Path) -> None:
    (tmp_path / "draft.md").write_text(DRAFT + "\n")
    from_file = in_process("continue", str(tmp_path / "draft.md"), "--seed", "7", "--max-tokens", "20")
    from_pipe = in_process("continue", "--seed", "7", "--max-tokens", "20", stdin=DRAFT.encode())
    dash = in_process("continue", "-", "--seed", "7", "--max-tokens", "20", stdin=DRAFT.encode())
    assert from_file.out == from_pipe.out == dash.out
    assert "gpt2-large is not on this machine" in from_pipe.err
    (line,) = takes("--seed", "7", "--max-tokens", "20")
    assert from_pipe.out == line["text"] + ("" if line["text"].endswith("\n") else "\n")


def test_naming_the_starter_says_nothing() -> None:
    done = in_process("continue", "--model", "starter", "--max-tokens", "1", stdin=b"x")
    assert (done.code, done.err) == (0, "")


def test_the_genre_s_own_adapter_is_used_and_none_is_the_model_alone(starter_model: Path) -> None:
    write_adapter(adapters_dir() / "diary", load_config(starter_model))
    genres_path().parent.mkdir(parents=True, exist_ok=True)
    genres_path().write_text("[diary]\n")
    asked = ("--model", str(starter_model), "--seed", "7", "--max-tokens", "20")
    own, alone, by_name = (
        takes(*asked, "--genre", "diary", *chosen)
        for chosen in ((), ("--adapter", "none"), ("--adapter", "diary"))
    )
    assert own[0]["ids"] == by_name[0]["ids"] != alone[0]["ids"]
    assert alone[0]["ids"] == takes(*asked, "--genre", "diary", "--adapter", "diary=0")[0]["ids"]


def test_three_takes_in_a_pipe() -> None:
    lines = takes("-n", "3", "--seed", "5", "--max-tokens", "12")
    assert [line["take"] for line in lines] == [0, 1, 2]
    assert [line["seed"] for line in lines] == [5, 6, 7]
    assert len({line["text"] for line in lines}) == 3
    shown = in_process("continue", "-n", "3", "--seed", "5", "--max-tokens", "12", stdin=DRAFT.encode())
    blocks = [
        f"==> take {line['take'] + 1} of 3 <==\n{line['text']}"
        + ("" if line["text"].endswith("\n") else "\n")
        for line in lines
    ]
    assert shown.out == "\n".join(blocks)


def test_a_json_line_has_stable_keys_and_agrees_with_itself() -> None:
    (line,) = takes("--max-tokens", "12", "--seed", "1")
    assert list(line) == KEYS
    assert line["finish"] == "length"
    assert len(line["ids"]) == len(line["logprobs"]) == 12
    assert all(logprob <= 0 for logprob in line["logprobs"])
    assert 0 < line["first_token_s"] <= line["seconds"]


def test_take_n_has_the_seed_after_it() -> None:
    several = takes("-n", "2", "--seed", "5", "--max-tokens", "8")
    (alone,) = takes("--seed", "6", "--max-tokens", "8")
    assert several[1]["seed"] == alone["seed"]


def test_greedy_needs_no_seed() -> None:
    first, again = (
        takes("--method", "greedy", "--max-tokens", "8"),
        takes("--temperature", "0", "--max-tokens", "8"),
    )
    assert first[0]["ids"] == takes("--method", "greedy", "--max-tokens", "8")[0]["ids"]
    assert again[0]["finish"] == "length"


@pytest.mark.parametrize("method", ["beam", "contrastive"])
def test_searches_are_reachable(method: str) -> None:
    (line,) = takes("--method", method, "--max-tokens", "6")
    assert len(line["ids"]) == 6


def test_stop_strings_end_a_take_and_are_not_in_it() -> None:
    (line,) = takes("--stop", "e", "--max-tokens", "200", "--seed", "3")
    assert line["finish"] == "stop"
    assert "e" not in line["text"]


def test_end_at_sentence_ends_at_one() -> None:
    for seed in ("1", "2", "3"):
        (line,) = takes("--end-at-sentence", "--max-tokens", "60", "--seed", seed)
        plain = in_process(
            "continue", "--end-at-sentence", "--max-tokens", "60", "--seed", seed, stdin=DRAFT.encode()
        )
        assert plain.out.rstrip("\n") == line["text"].rstrip("\n")


def test_sampler_settings_and_presets_change_the_text() -> None:
    plain = takes("--seed", "4", "--max-tokens", "16")[0]["ids"]
    assert takes("--seed", "4", "--max-tokens", "16", "--preset", "wild")[0]["ids"] != plain
    assert takes("--seed", "4", "--max-tokens", "16", "--temperature", "2")[0]["ids"] != plain
    banned = takes("--seed", "4", "--max-tokens", "16", *(f"--banned-tokens={token}" for token in set(plain)))
    assert not set(banned[0]["ids"]) & set(plain)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n\t ",
        b"<|endoftext|>",
        "naïve café".encode("latin-1"),
        bytes(range(256)),
        "日本語のテキスト。".encode(),
        b"\x1b]0;owned\x07",
        b"word " * 5000,
    ],
    ids=["nothing", "blanks", "end of text", "latin-1", "binary", "japanese", "controls", "long"],
)
def test_any_prompt_works_safety_38(data: bytes) -> None:  # safety 38
    done = in_process("continue", "--max-tokens", "3", "--seed", "1", stdin=data)
    assert done.code == 0, done.err
    assert not set(done.out) & set("\x1b\x07\x00")


def test_zero_tokens_is_an_empty_take() -> None:
    (line,) = takes("--max-tokens", "0")
    assert (line["text"], line["ids"], line["finish"]) == ("", [], "length")


def test_a_locale_without_characters_stops_nothing_safety_32() -> None:  # safety 32
    locale = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = storyteller(
        "continue",
        "--max-tokens",
        "12",
        "--seed",
        "1",
        stdin="日本語「こんにちは」".encode(),
        env=environment(**locale),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def running(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "continue", "--max-tokens", "5000", "--seed", "1", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        **options,
    )


def begin(process: subprocess.Popen[bytes]) -> bytes:
    """Give it its prompt and wait for the first bytes it prints."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(DRAFT.encode())
    process.stdin.close()
    process.stdin = None
    return os.read(process.stdout.fileno(), 4096)


def test_a_pipe_is_written_while_the_take_grows_and_ctrl_c_ends_it_safety_28() -> None:  # safety 28
    process = running()
    first = begin(process)
    assert process.poll() is None, "the whole take came at once"
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert (first + rest).endswith(b"\n")


def test_ctrl_c_while_the_model_is_opened() -> None:
    process = running()
    assert process.stderr is not None
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None
    assert b"starter" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in errors


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = running()
    assert begin(process)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"Traceback" not in errors
    assert b"Broken" not in errors


def test_a_full_disk_is_an_error() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = storyteller("continue", "--max-tokens", "5", stdin=b"x", stdout=full)
    assert done.returncode == 1
    assert b"No space left" in done.stderr


def test_nothing_but_text_reaches_a_terminal_safety_44(tmp_path: Path) -> None:  # safety 44
    draft = tmp_path / "\x1b]0;draft\x07[red].md"
    draft.write_text(DRAFT)
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "continue", str(draft), "--max-tokens", "20", "--model", "starter"],
        env=environment(TERM="xterm-256color"),
        timeout=60,
    )
    output = child.read().decode()
    child.close()
    assert child.exitstatus == 0
    # the progress line is written over; nothing else may move the cursor
    assert "\x1b" not in output.replace("\r\x1b[K", "")


def test_a_damaged_model_is_a_message_safety_36(tmp_path: Path) -> None:  # safety 36
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    done = in_process("continue", "--model", str(tmp_path), stdin=b"x")
    assert done.code == 2
    assert str(tmp_path) in done.err


def test_score_gives_every_token_the_perplexity_and_the_bits(tmp_path: Path) -> None:
    text = "The old house stood at the end of the lane."
    done = in_process("score", "--json", stdin=text.encode())
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    scored = json.loads(done.out)
    assert list(scored) == ["tokens", "perplexity", "bits_per_byte"]
    assert list(scored["tokens"][0]) == ["id", "text", "logprob"]
    assert "".join(token["text"] for token in scored["tokens"]) == text
    logprobs = [token["logprob"] for token in scored["tokens"] if token["logprob"] is not None]
    assert math.isclose(scored["perplexity"], math.exp(-sum(logprobs) / len(logprobs)), rel_tol=1e-4)
    bits = -sum(logprobs) / math.log(2)
    assert math.isclose(scored["bits_per_byte"], bits / len(text.encode()), rel_tol=0.05)


def test_score_in_a_pipe_has_a_token_a_line() -> None:
    done = in_process("score", stdin=b"The old\nhouse\x1b")
    assert done.code == 0, done.err
    assert "\x1b" not in done.out
    *rows, blank, summary = done.out.splitlines()
    assert blank == ""
    assert "perplexity" in summary
    assert all(row[:8].strip() == "-" or float(row[:8]) <= 0 for row in rows)


def test_shuffled_words_surprise_more_than_words_in_order() -> None:
    text = "She opened the door and looked into the garden, where the rain was falling."
    words = text.split()
    plain = json.loads(in_process("score", "--json", stdin=text.encode()).out)["perplexity"]
    shuffled = json.loads(in_process("score", "--json", stdin=" ".join(words[::-1]).encode()).out)[
        "perplexity"
    ]
    assert shuffled > 2 * plain
