"""`storyteller pretrain` as a shell gives it: one command from texts to a model that writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit
from safetensors.torch import load_file
from transformers import GPT2LMHeadModel

from storyteller.paths import assets_dir, state_dir
from tests.conftest import REPOSITORY
from tests.stubs.command import Ended, environment, in_process, storyteller
from tests.stubs.folders import names_in
from tests.stubs.tiny_pretraining import STEPS, TOKENS, recipe_fields, weights_in, write_recipe

if TYPE_CHECKING:
    from pathlib import Path

SHARED = REPOSITORY.parent / "shared" / "data"


@pytest.fixture
def recipe(data: Path) -> Path:
    """A recipe beside its texts, as `data.folder` says."""
    path = data / "recipe.toml"
    return path if path.exists() else write_recipe(path)


def pretrain(recipe: Path, *words: str) -> Ended:
    return in_process("pretrain", "--recipe", str(recipe), "--device", "cpu", *words)


def told(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.out.splitlines()]


def test_one_command_makes_a_model_that_writes(recipe: Path, tmp_path: Path, undisturbed: Path) -> None:
    out = tmp_path / "mine"
    ended = pretrain(recipe, "--run", str(tmp_path / "run"), "--out", str(out))
    assert ended.code == 0, ended.err
    for said in (
        "Preparing verse", "tokens of a vocabulary of 300", "verse", "32 wide, 2 layers", "in float32 on cpu",
        "step 4", "bits per byte", f"in {STEPS} steps", "opened again, the same", f"storyteller --model {out}",
    ):  # fmt: skip
        assert said in ended.out
    assert (out / "model.safetensors").read_bytes() == weights_in(undisturbed)
    assert GPT2LMHeadModel.from_pretrained(out).config.n_embd == 32
    written = in_process("continue", "--model", str(out), "--seed", "1", stdin=b"The keeper")
    assert written.code == 0, written.err
    again = pretrain(recipe, "--run", str(tmp_path / "run"), "--out", str(out))
    assert again.code == 0, again.err
    assert "prepared before" in again.out
    assert "Preparing" not in again.out
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert events.count('"exported"') == 1  # a run's own, not those of the one before


def test_events_as_json_and_a_home_of_its_own(recipe: Path) -> None:
    ended = pretrain(recipe, "--json", "--tokens", str(2 * TOKENS), "--seed", "5")
    assert ended.code == 0, ended.err
    events = told(ended)
    assert [event["event"] for event in events if event["event"] != "preparing"] == [
        "prepared", "network", "step", "step", "checkpointed", "measured", "exported",
    ]  # fmt: skip
    home = state_dir() / "pretraining" / "toy"
    assert events[-1]["path"] == str(home / "model")
    assert (home / "events.jsonl").read_text() == ended.out


def test_tokens_alone_and_a_dry_run(recipe: Path, tmp_path: Path, home: Path) -> None:
    words = ("--run", str(tmp_path / "run"))
    dry = pretrain(recipe, *words, "--dry-run", "--minutes", "3")
    assert dry.code == 0, dry.err
    assert "3 minutes by steps of 128 tokens" in dry.out
    assert not (tmp_path / "run").exists()
    assert not home.exists()
    ended = pretrain(recipe, *words, "--prepare-only")
    assert ended.code == 0, ended.err
    assert names_in(tmp_path / "run") == ["events.jsonl", "lock", "tokens"]


@pytest.mark.parametrize(
    "wrong",
    [
        "--recipe /nosuch.toml", "--data /nosuch", "--minutes 0", "--tokens 0", "--tokens x", "--minutes 1 --tokens 1",
        "--seed -1", "--megabytes 0", "--start /nosuch", "--resume", "--save-every 0", "--device abacus", "--out /dev/null",
        "--nosuch",
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_with_exit_code_2(recipe: Path, tmp_path: Path, wrong: str) -> None:
    ended = pretrain(recipe, "--run", str(tmp_path / "run"), *wrong.split())
    assert (ended.code, len(ended.err) > 20) == (2, True)
    assert "fault of the program" not in ended.err
    assert not (tmp_path / "run" / "model").exists()


def test_interrupted_while_texts_are_prepared_it_ends_and_leaves_nothing_half_made(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def preparing(text: str) -> None:
        if "Preparing" in text:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("storyteller.cli.training_view.output", preparing)
    ended = pretrain(recipe, "--run", str(tmp_path / "run"), "--prepare-only")
    assert (ended.code, ended.out) == (130, "")
    assert names_in(tmp_path / "run") == ["events.jsonl", "lock"]


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    fields = recipe_fields()
    fields["training"]["rtae"] = 1
    ended = pretrain(write_recipe(tmp_path / "r.toml", fields))
    assert ended.code == 2
    assert "rtae" in ended.err


def run_to_the_end(words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with out.open("wb") as stream:
        command = subprocess.Popen(
            words, stdout=stream, stderr=subprocess.STDOUT, env=environment(), cwd=REPOSITORY
        )
        try:
            code = command.wait(100)
        finally:
            command.terminate()  # it ends what it started
            command.wait()
    assert code == 0, out.read_text()


def pretrain_words(recipe: Path, run: Path) -> list[str]:
    return ["pretrain", "--recipe", str(recipe), "--device", "cpu", "--run", str(run), "--json"]


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(recipe: Path, tmp_path: Path, undisturbed: Path) -> None:
    run = tmp_path / "run"
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "--",
    ]
    command = ["storyteller", *pretrain_words(recipe, run)]
    run_to_the_end([*launcher, *command], tmp_path)
    together, alone = (
        [json.loads(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]
        for folder in (run, undisturbed)
    )
    for what in ("loss", "gradient"):
        both, one = ([event[what] for event in events if what in event] for events in (together, alone))
        assert len(both) == STEPS
        assert both == pytest.approx(one, rel=1e-5), what
    assert together[-1]["bits_per_byte"] == pytest.approx(alone[-1]["bits_per_byte"], rel=1e-5)
    assert [event["event"] for event in together].count("exported") == 1  # one speaks for both
    ours, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (run, undisturbed))
    for name, tensor in ours.items():  # in bfloat16: a last bit may round the other way
        assert (tensor.float() - theirs[name].float()).abs().max() <= 0.01, name


@pytest.mark.slow
def test_after_sigkill_it_goes_on_to_the_same_model(recipe: Path, tmp_path: Path, undisturbed: Path) -> None:
    run = tmp_path / "run"
    words = [*pretrain_words(recipe, run), "--save-every", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "storyteller", *words],
        stdout=subprocess.PIPE,
        env=environment(),
        cwd=REPOSITORY,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "checkpointed" and event["step"] >= 2:
                os.kill(process.pid, signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL
    resumed = storyteller(*words, "--resume", cwd=REPOSITORY)
    assert resumed.returncode == 0, resumed.stderr.decode()
    events = [json.loads(line) for line in resumed.stdout.splitlines()]
    assert next(event for event in events if event["event"] == "resumed")["step"] >= 2
    assert weights_in(run) == weights_in(undisturbed)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the corpora of ../shared/data are not here")
def test_the_shipped_recipe_trains_on_the_shared_corpora(tmp_path: Path) -> None:
    fields: dict[str, Any] = tomlkit.parse(
        (assets_dir() / "starter" / "recipe-cpu.toml").read_text()
    ).unwrap()
    fields["sources"] = [
        source for source in fields["sources"] if source["genre"] != "fiction"
    ]  # minutes to unpack
    fields["tokenizer"] = {"vocabulary": 320, "megabytes": 0.02}
    fields["model"] = {"width": 32, "layers": 1, "heads": 2, "context": 32}
    fields["training"] |= {"tokens": 512, "tokens_per_step": 256, "measured_tokens": 256}
    fields["data"]["held_out"] = 2
    path = write_recipe(tmp_path / "recipe.toml", fields)
    ended = pretrain(
        path, "--data", str(SHARED), "--run", str(tmp_path / "run"), "--megabytes", "3", "--json"
    )
    assert ended.code == 0, ended.err
    assert told(ended)[-1]["bits_per_byte"].keys() == {"tales", "poems", "code"}
