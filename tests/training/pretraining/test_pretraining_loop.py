"""The loop: the same run twice is the same to the bit, however often it is killed; it stops where numbers end."""

from __future__ import annotations

import errno
import os
from array import array
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch

from storyteller.errors import TrainingError
from storyteller.training.events import Checkpointed, Failed, Resumed, Said, Stepped, Stopped
from storyteller.training.pretraining import loop
from storyteller.training.pretraining.events import Exported, Measured
from storyteller.training.pretraining.loop import schedule
from storyteller.training.pretraining.network import loss_of, make_network
from storyteller.training.pretraining.shards import HeldOut, Stream
from storyteller.training.processes import Processes
from tests.stubs.folders import names_in
from tests.stubs.tiny_pretraining import STEPS, TOKENS, VOCABULARY, make_recipe, pretrain_tiny, weights_in
from tests.stubs.tiny_training import Told, fail_call

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.training.pretraining.shards import Windows


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


def killed_at(step: int, data: Path, run: Path, **given: Any) -> None:
    """A run that is killed when it tells step `step`."""

    def kill(event: Stepped) -> None:
        if event.step == step:
            raise Killed

    with pytest.raises(Killed):
        pretrain_tiny(data, run, Told(step=kill), **given)


def test_a_run_says_what_it_does_and_learns(data: Path, tmp_path: Path) -> None:
    told = Told()
    ended = pretrain_tiny(data, tmp_path, told, tokens=40 * TOKENS)
    assert told.kinds[0] == "preparing"
    assert [kind for kind in told.kinds if kind not in {"step", "preparing", "measured"}] == [
        "prepared", "network", "checkpointed", "exported",
    ]  # fmt: skip
    assert [event.step for event in told.of(Stepped)] == list(range(1, 41))
    figures = [event.bits_per_byte["verse"] for event in told.of(Measured)]
    assert [event.step for event in told.of(Measured)] == list(range(4, 41, 4))
    assert figures[-1] < figures[0] - 1
    assert isinstance(ended, Exported)
    assert ended.bits_per_byte == {"verse": figures[-1]}
    assert (ended.step, ended.tokens) == (40, 40 * TOKENS)
    assert names_in(tmp_path) == ["events.jsonl", "lock", "model", "run.json", "tokens"]


def test_the_same_run_twice_is_the_same_to_the_bit(data: Path, tmp_path: Path, undisturbed: Path) -> None:
    pretrain_tiny(data, tmp_path)
    assert weights_in(tmp_path) == weights_in(undisturbed)
    pretrain_tiny(data, tmp_path / "other", seed=2)
    assert weights_in(tmp_path / "other") != weights_in(undisturbed)


@pytest.mark.parametrize("save_every", [1, 2])
def test_killed_again_and_again_it_ends_as_if_nothing_had_happened(
    data: Path, tmp_path: Path, undisturbed: Path, save_every: int
) -> None:
    killed_at(3, data, tmp_path, save_every=save_every)
    killed_at(4, data, tmp_path, save_every=save_every, resume=True)
    killed_at(6, data, tmp_path, save_every=save_every, resume=True)
    told = Told()
    pretrain_tiny(data, tmp_path, told, save_every=save_every, resume=True)
    (resumed,) = told.of(Resumed)
    assert resumed.step == (5 if save_every == 1 else 4)
    assert weights_in(tmp_path) == weights_in(undisturbed)


def test_it_saves_when_it_was_asked_to_also_where_it_looks_seldom(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storyteller.training.pretraining.loop._LOOK_EVERY", {"cpu": 4})  # as on a GPU
    told = Told()
    pretrain_tiny(data, tmp_path, told, save_every=3, tokens=8 * TOKENS)
    assert [event.step for event in told.of(Checkpointed)] == [3, 6, 8]


def test_stopped_in_the_middle_it_saves_and_goes_on(data: Path, tmp_path: Path, undisturbed: Path) -> None:
    told = Told()
    ended = pretrain_tiny(data, tmp_path, told, interrupted=lambda: len(told.of(Stepped)) >= 3)
    assert ended == Stopped(step=3)
    assert told.kinds[-2:] == ["checkpointed", "stopped"]
    assert not (tmp_path / "model").exists()
    with pytest.raises(TrainingError, match="--resume"):
        pretrain_tiny(data, tmp_path)
    for other in ({"seed": 9}, {"recipe": make_recipe(rate=1.0)}):
        with pytest.raises(TrainingError, match="another recipe"):
            pretrain_tiny(data, tmp_path, resume=True, **other)
    pretrain_tiny(data, tmp_path, resume=True)
    assert weights_in(tmp_path) == weights_in(undisturbed)


def test_a_run_that_failed_to_write_its_model_writes_it_later(
    data: Path, tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("storyteller.training.pretraining.export.save_synced", full)
        with pytest.raises(TrainingError, match=r"No space left.*--resume"):
            pretrain_tiny(data, tmp_path)
    told = Told()
    pretrain_tiny(data, tmp_path, told, resume=True)
    assert not told.of(Stepped)
    assert weights_in(tmp_path) == weights_in(undisturbed)


def test_a_resumed_run_may_be_made_longer_and_nothing_else(data: Path, tmp_path: Path) -> None:
    killed_at(4, data, tmp_path, save_every=1)
    for change, said in (({"rate": 0.5}, "another recipe"), ({"seed": 3}, "another recipe")):
        with pytest.raises(TrainingError, match=said):
            pretrain_tiny(data, tmp_path, resume=True, **change)
    ended = pretrain_tiny(data, tmp_path, resume=True, tokens=(STEPS + 4) * TOKENS, micro_batch=8)
    assert isinstance(ended, Exported)
    assert ended.step == STEPS + 4


@pytest.mark.parametrize(("asked", "read"), [(2, 2), (99, 4)])
def test_a_resumed_run_reads_as_few_at_once_as_is_asked_for_now_but_no_more_than_fitted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int, read: int
) -> None:
    killed_at(4, data, tmp_path, save_every=1)
    sizes = set()

    def noted(network: Any, windows: torch.Tensor, *given: Any) -> torch.Tensor:
        sizes.add(len(windows))
        return loss_of(network, windows, *given)

    monkeypatch.setattr(loop, "loss_of", noted)
    pretrain_tiny(data, tmp_path, resume=True, micro_batch=asked)
    assert sizes == {read}


def test_a_damaged_checkpoint_is_passed_over_and_all_damaged_refused(
    data: Path, tmp_path: Path, undisturbed: Path
) -> None:
    killed_at(5, data, tmp_path, save_every=2)
    (tmp_path / "step-4" / "muon.safetensors").write_bytes(b"")
    told = Told()
    pretrain_tiny(data, tmp_path, told, resume=True)
    assert told.of(Said) == [Said(message="step-4 is damaged, so the run goes on from an earlier one.")]
    assert told.of(Resumed) == [Resumed(step=2)]
    assert weights_in(tmp_path) == weights_in(undisturbed)
    other = tmp_path / "other"
    killed_at(3, data, other, save_every=2)
    (other / "step-2" / "COMPLETE.json").unlink()
    with pytest.raises(TrainingError, match="step-2 is damaged"):
        pretrain_tiny(data, other, resume=True)


def test_there_is_nothing_to_resume_in_an_empty_folder(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint is there"):
        pretrain_tiny(data, tmp_path, resume=True)


def test_how_many_sequences_are_read_at_once_changes_next_to_nothing(data: Path, tmp_path: Path) -> None:
    losses = []
    for size in (1, 3, 8, 99):
        told = Told()
        pretrain_tiny(data, tmp_path / str(size), told, micro_batch=size)
        losses.append([event.loss for event in told.of(Stepped)])
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-5)


def test_where_memory_runs_out_fewer_sequences_are_read_at_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Told()
    pretrain_tiny(data, tmp_path / "whole", whole, micro_batch=2)
    fail_call(monkeypatch, loop, "loss_of", {2}, lambda: RuntimeError("CUDA out of memory"))
    told = Told()
    pretrain_tiny(data, tmp_path / "short", told, micro_batch=4)
    assert told.of(Said) == [Said(message="There was not enough memory: 2 sequences at once from now on.")]
    assert [event.loss for event in told.of(Stepped)] == [event.loss for event in whole.of(Stepped)]


class Counted(Processes):
    """One of several processes, whose own share of a sum is looked at."""

    def sum(self, number: float) -> float:
        return number


@pytest.mark.parametrize("fitting", [(4,), (2, 2), (4, 1), (1, 3, 8)])
def test_every_held_out_token_is_measured_once_however_many_fit_on_each_process(
    tmp_path: Path, fitting: tuple[int, ...]
) -> None:
    ids = tmp_path / "held.bin"
    ids.write_bytes(array("H", [number * 7 % VOCABULARY for number in range(203)]).tobytes())
    recipe = make_recipe()
    network = make_network(recipe.model, VOCABULARY, torch.float32, 1)

    def measured(rank: int, count: int, at_once: int) -> float:
        run = loop.Run(
            network=network,
            training=recipe.training,
            windows=cast("Windows", None),
            held_out={"verse": HeldOut(Stream([ids]), 1.0)},
            folder=tmp_path,
            tell=lambda _: None,
            progress=loop.Progress(micro_batch=at_once),
            processes=Counted(rank, count),
        )
        return loop.measure(run, 10**6)["verse"]

    parts = [measured(rank, len(fitting), at_once) for rank, at_once in enumerate(fitting)]
    assert sum(parts) == pytest.approx(measured(0, 1, 1), rel=1e-5)


@pytest.mark.parametrize("call", [1, 12])
def test_a_loss_that_is_no_number_ends_the_run_and_its_checkpoints_are_good(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    plain, count = loss_of, [0]

    def broken(*given: Any) -> torch.Tensor:
        count[0] += 1
        return plain(*given) * (float("nan") if count[0] == call else 1.0)

    monkeypatch.setattr(loop, "loss_of", broken)
    told = Told()
    with pytest.raises(TrainingError, match="no number any more"):
        pretrain_tiny(data, tmp_path, told, save_every=1, measure_every=99)
    assert isinstance(told.events[-1], Failed)
    assert [event.step for event in told.of(Checkpointed)] == list(range(1, 1 + (call - 1) // 2))
    found, damaged = loop.load(tmp_path)
    assert damaged == []
    if found is not None:
        assert all(tensor.isfinite().all() for tensor in found.tensors["network"].values())


def test_by_the_clock_it_ends_when_the_time_is_over(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def tick() -> float:
        clock[0] += 1.0
        return clock[0]

    monkeypatch.setattr("storyteller.training.pretraining.loop.time.monotonic", tick)
    told = Told()
    ended = pretrain_tiny(data, tmp_path, told, tokens=None, minutes=0.5, decay=0.5, warm_up=0, save_every=99)
    assert isinstance(ended, Exported)
    assert 30 <= ended.seconds < 34
    rates = [event.rate for event in told.of(Stepped)]
    assert rates[0] == pytest.approx(make_recipe().training.matrix_rate)
    assert rates[-1] < 0.2 * rates[0]
    assert rates == sorted(rates, reverse=True)
    assert told.of(Stepped)[-1].seconds_left < 4


def test_the_rates_go_up_stay_and_come_down() -> None:
    training = make_recipe(warm_up=4, decay=0.5).training
    assert [schedule(training, step, 0.0) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert [schedule(training, 9, done) for done in (0.5, 0.75, 0.9, 1.0)] == pytest.approx([1, 0.5, 0.2, 0])
    assert schedule(make_recipe(warm_up=0, decay=0.0).training, 0, 0.99) == 1.0


def test_matrices_of_blocks_are_muon_s_and_everything_else_adamw_s() -> None:
    recipe = make_recipe()
    network = make_network(recipe.model, 300, torch.float32, 1)
    optimisers = loop.make_optimisers(network, recipe.training)
    counts = {
        name: sum(len(group["params"]) for group in made.param_groups) for name, made in optimisers.items()
    }
    assert counts == {"muon": 8, "adamw": 2 + 2 + 2 * 8}
