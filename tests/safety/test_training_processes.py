"""Safety 46, 54 to 57 and 61: the command as a process that is killed, interrupted, watched, or one of two."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from itertools import chain
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from storyteller.cli.training_view import JsonView
from storyteller.errors import TrainingError
from storyteller.paths import adapters_dir
from storyteller.training import processes
from storyteller.training.events import Checkpointed, Finished, Stepped, Stopped, read_events
from storyteller.training.processes import Processes
from storyteller.training.run_folder import RunFolder
from storyteller.training.sample import sampler
from tests.conftest import REPOSITORY
from tests.stubs.command import environment
from tests.stubs.folders import names_in
from tests.stubs.tiny_training import (
    GENRE,
    Told,
    command_options,
    train_here,
    train_tiny,
)
from tests.stubs.training_process import TrainingProcess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from storyteller.training.events import AnyEvent

READER = """
import sys, time
from pathlib import Path
from storyteller.training.events import read_events
offset = 0
while True:
    for offset, event in read_events(Path(sys.argv[1]), offset):
        tag = event.__struct_config__.tag
        print(tag, flush=True)
        if tag == sys.argv[2]:
            sys.exit()
    time.sleep(0.005)
"""


pytestmark = pytest.mark.usefixtures("quick")


def steps_in(events: Sequence[AnyEvent]) -> int:
    return sum(isinstance(event, Stepped) for event in events)


def learned() -> list[bytes]:
    """The weights of every published version, oldest first."""
    return [
        path.read_bytes() for path in sorted((adapters_dir() / GENRE).glob("v*/adapter_model.safetensors"))
    ]


# 46


def test_46_killed_ten_times_a_run_ends_as_if_it_never_was(model: Path, texts: Path, tmp_path: Path) -> None:
    words = command_options(model, texts, steps=40)
    with TrainingProcess(words, tmp_path / "out") as undisturbed:
        assert undisturbed.wait() == 0, undisturbed.output.read_text()
    chance, folder = random.Random(46), RunFolder(GENRE)
    kills = resumed = 0
    while kills < 10 or folder.unfinished:  # a run that was too quick is followed by another
        going_on = folder.unfinished
        if not going_on:
            folder.events.unlink(missing_ok=True)
        said = len(list(read_events(folder.events)))
        wanted = said + chance.randrange(1, 12) if kills < 10 else said + 1_000_000
        with TrainingProcess([*words, *["--resume"] * going_on], tmp_path / "out") as process:
            if process.wait_for(lambda events, wanted=wanted: len(events) >= wanted):  # type: ignore[misc]
                process.kill()
                kills += 1
            assert process.wait() in {0, -signal.SIGKILL}, process.output.read_text()
        resumed += going_on
    assert resumed >= 5
    undisturbed_weights, *others = learned()
    assert others
    assert all(weights == undisturbed_weights for weights in others)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("event", [1, 2, 7, 11, 16, 18])
def test_46_gone_at_any_word_and_resumed_it_is_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch, event: int
) -> None:
    whole = train_tiny(model, save_every=2)

    class Fatal(Told):
        def __call__(self, said: AnyEvent) -> None:
            super().__call__(said)
            if len(self.events) == event:
                raise Killed

    with pytest.raises(Killed):
        train_tiny(model, Fatal(), save_every=2)
    resume = RunFolder(GENRE).unfinished
    again = train_tiny(model, save_every=2, resume=resume)
    assert isinstance(whole, Finished)
    assert isinstance(again, Finished)
    assert again.perplexity == whole.perplexity
    first, *_, last = learned()
    assert first == last


def test_46_without_samples_the_same_is_learned_as_with_them(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_tiny(model, steps=3)
    monkeypatch.setattr("storyteller.training.run.sampler", sampler)
    told = Told()
    train_tiny(model, told, steps=3)
    assert told.kinds.count("sampled") == 4
    first, second = learned()
    assert first == second


# 54, 55


def test_54_a_second_training_of_the_genre_is_refused_and_the_first_goes_on(
    model: Path, texts: Path, tmp_path: Path
) -> None:
    words = command_options(model, texts)
    with TrainingProcess(words, tmp_path / "out") as first:
        RunFolder(GENRE).wish("go")
        assert first.wait_for(lambda events: steps_in(events) >= 1)
        RunFolder(GENRE).wish("pause")
        second = train_here(*words, "--restart")
        assert second.code == 2
        assert f"being trained already by process {first.pid}" in second.err
        RunFolder(GENRE).wish("go")
        assert first.wait() == 0, first.output.read_text()
    assert len(learned()) == 1
    # A lock that the dead left is none.
    with TrainingProcess(words, tmp_path / "out") as killed:
        assert killed.wait_for(lambda events: isinstance(events[-1], Checkpointed) if events else False)
        killed.kill()
    assert train_here(*words, "--restart").code == 0


def test_55_another_process_follows_the_run_and_its_end_changes_nothing(model: Path) -> None:
    whole = train_tiny(model, save_every=2)
    events = RunFolder(GENRE).events
    events.unlink()
    command = [sys.executable, "-c", READER, str(events)]
    with (
        subprocess.Popen([*command, "finished"], stdout=subprocess.PIPE) as follower,
        subprocess.Popen([*command, "never"], stdout=subprocess.PIPE) as brief,
    ):
        assert brief.stdout is not None
        assert follower.stdout is not None

        def gone(event: Stepped) -> None:
            if event.step == 2:
                assert brief.stdout is not None
                brief.stdout.readline()
                brief.kill()
                brief.wait()

        told = Told(step=gone)
        try:
            followed = train_tiny(model, told, save_every=2)
            assert follower.stdout.read().decode().split() == told.kinds
        finally:  # else leaving waits for readers of what will not come
            brief.kill()
            follower.kill()
    assert isinstance(whole, Finished)
    assert isinstance(followed, Finished)
    assert learned()[0] == learned()[1]


def test_55_what_is_printed_is_what_the_file_says(model: Path, texts: Path) -> None:
    ended = train_here(*command_options(model, texts, steps=3), "--json")
    assert ended.code == 0, ended.err
    assert ended.out == RunFolder(GENRE).events.read_text(encoding="utf-8")
    assert [json.loads(line)["event"] for line in ended.out.splitlines()] == [
        "planned", "evaluated", *["step", "evaluated", "checkpointed"] * 3, "finished",
    ]  # fmt: skip


# 56


def test_56_ctrl_c_saves_and_stops_and_the_run_goes_on_later(
    model: Path, texts: Path, tmp_path: Path
) -> None:
    words = command_options(model, texts, **{"save-every": 1000})
    with TrainingProcess(words, tmp_path / "out") as process:
        assert process.wait_for(lambda events: steps_in(events) >= 2)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
        *_, saved, stopped = process.events
    assert isinstance(saved, Checkpointed)
    assert stopped == Stopped(step=saved.step)
    assert names_in(RunFolder(GENRE).path) == [
        "control", "events.jsonl", "lock", "run.json", f"step-{saved.step}",
    ]  # fmt: skip
    assert train_here(*words, "--resume").code == 0
    assert train_here(*words).code == 0
    resumed, undisturbed = learned()
    assert resumed == undisturbed


def signals_at(monkeypatch: pytest.MonkeyPatch, step: int, *numbers: signal.Signals) -> None:
    """This process gets these signals as soon as step `step` is told."""
    tell = JsonView.tell

    def told(self: JsonView, event: AnyEvent) -> None:
        tell(self, event)
        if isinstance(event, Stepped) and event.step == step:
            for number in numbers:
                os.kill(os.getpid(), number)

    monkeypatch.setattr(JsonView, "tell", told)


@pytest.mark.parametrize("polite", [signal.SIGINT, signal.SIGTERM])
def test_56_once_is_a_checkpoint_of_the_step_that_was_under_way(
    model: Path, texts: Path, monkeypatch: pytest.MonkeyPatch, polite: signal.Signals
) -> None:
    before = signal.getsignal(polite)
    signals_at(monkeypatch, 3, polite)
    ended = train_here(*command_options(model, texts, **{"save-every": 1000}), "--json")
    assert ended.code == 130
    assert [json.loads(line)["event"] for line in ended.out.splitlines()][-2:] == ["checkpointed", "stopped"]
    assert "once more ends at once" in ended.err
    assert signal.getsignal(polite) == before
    assert (RunFolder(GENRE).path / "step-3").is_dir()


def test_56_twice_ends_at_once_and_goes_on_from_the_last_checkpoint(
    model: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = command_options(model, texts, **{"save-every": 2, "steps": 6})
    with monkeypatch.context() as patch:
        signals_at(patch, 3, signal.SIGINT, signal.SIGINT)
        ended = train_here(*words, "--json")
    assert ended.code == 130
    assert json.loads(ended.out.splitlines()[-1])["event"] == "step"
    assert "Traceback" not in ended.err
    assert names_in(RunFolder(GENRE).path)[-1] == "step-2"
    assert RunFolder(GENRE).trainer is None
    resumed = train_here(*words, "--json", "--resume")
    assert resumed.code == 0
    assert json.loads(resumed.out.splitlines()[0]) == {"event": "resumed", "step": 2}
    assert train_here(*words).code == 0
    first, second = learned()
    assert first == second


# 57, through the command


def test_57_the_command_says_what_changed_and_how_to_begin_anew(
    model: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        signals_at(patch, 2, signal.SIGINT)
        assert train_here(*command_options(model, texts), "--json").code == 130
    changed = train_here(*command_options(model, texts, rank=3, seed=5), "--resume")
    assert changed.code == 2
    assert "rank 2 (now 3), seed 0 (now 5)" in changed.err
    (texts / "3.txt").write_text("Other words were written here.\n" * 8, encoding="utf-8")
    other = train_here(*command_options(model, texts), "--resume")
    assert other.code == 2
    assert "other texts" in other.err
    again = train_here(*command_options(model, texts))
    assert again.code == 2
    assert "--restart" in again.err
    assert train_here(*command_options(model, texts, steps=3), "--resume", "--restart").code == 2
    assert train_here(*command_options(model, texts, steps=3), "--restart").code == 0


# 61


@pytest.mark.slow
def test_61_two_processes_learn_what_one_learns(model: Path, texts: Path, tmp_path: Path) -> None:
    words = command_options(model, texts, dropout=0, steps=4)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "storyteller",
        "train", "--genre", GENRE, *words, "--json",
    ]  # fmt: skip
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        launcher = subprocess.Popen(command, stdout=out, stderr=err, env=environment(), cwd=REPOSITORY)
        try:
            code = launcher.wait(100)
        finally:
            launcher.terminate()  # it ends what it started
            launcher.wait()
    assert code == 0, (tmp_path / "err").read_text()
    lines = (tmp_path / "out").read_bytes().splitlines()
    told = [json.loads(line) for line in lines if line.startswith(b"{")]
    assert [event["event"] for event in told].count("finished") == 1  # one speaks for both
    alone = train_here(*command_options(model, texts, dropout=0, steps=4, **{"micro-batch": 2}), "--json")
    assert alone.code == 0, alone.err
    told_alone = list(map(json.loads, alone.out.splitlines()))
    for what in ("loss", "gradient", "perplexity"):
        both, one = ([event[what] for event in said if what in event] for said in (told, told_alone))
        assert both == pytest.approx(one, rel=1e-6), what
    together, apart = (
        load_file(path) for path in sorted((adapters_dir() / GENRE).glob("v*/adapter_model.safetensors"))
    )
    for name, tensor in together.items():
        assert (tensor - apart[name]).abs().max() <= 1e-6, name


@pytest.mark.parametrize(("batch", "count"), [(8, 1), (8, 2), (7, 2), (8, 3), (2, 4), (1, 2)])
def test_61_every_sequence_of_a_step_is_one_process_s(batch: int, count: int) -> None:
    shares = [list(Processes(rank, count).share(batch)) for rank in range(count)]
    assert list(chain.from_iterable(shares)) == list(range(batch))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_61_several_gpus_without_a_launcher_are_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    said = processes.how_to_use_all(torch.device("cuda"))
    assert said is not None
    assert said.startswith("4 GPUs are here and one is used.")
    assert "torchrun --nproc-per-node 4 -m storyteller train" in said
    assert processes.how_to_use_all(torch.device("cpu")) is None
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert processes.how_to_use_all(torch.device("cuda")) is None


def test_61_the_sentence_is_part_of_the_run(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "how_to_use_all", lambda _: "4 GPUs are here.")
    told = Told()
    train_tiny(model, told, steps=1)
    assert told.kinds[:2] == ["planned", "said"]


@pytest.mark.parametrize(
    "variables",
    [
        {"WORLD_SIZE": "two"},
        {"WORLD_SIZE": "2"},
        {"WORLD_SIZE": "2", "RANK": ""},
        {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "x"},
    ],
    ids=str,
)
def test_61_half_a_launcher_is_refused_with_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match="torchrun --nproc-per-node"):
        processes.join(torch.device("cpu"))
