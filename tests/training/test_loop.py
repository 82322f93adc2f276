"""The loop: its rate, its measurements, and what a writer may wish in the middle of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from storyteller.errors import TrainingError
from storyteller.paths import adapters_dir
from storyteller.training import loop, processes
from storyteller.training.accumulation import accumulate
from storyteller.training.checkpoint import load_newest
from storyteller.training.events import Evaluated, Failed, Finished, Paused, Sampled, Stepped, Stopped
from storyteller.training.processes import Processes
from storyteller.training.run_folder import RunFolder
from storyteller.training.sample import sampler
from storyteller.training.settings import Wanted, resolved
from tests.stubs.tiny_training import GENRE, STEPS, Told, train_tiny

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")


def wish_at(step: int, wish: str) -> Told:
    """Wishes so when step `step` is done."""

    def act(event: Stepped) -> None:
        if event.step == step:
            RunFolder(GENRE).wish(wish)  # type: ignore[arg-type] # one of them

    return Told(step=act)


@pytest.mark.parametrize("steps", [1, 2, 10, 100])
def test_the_rate_warms_up_and_falls_to_a_tenth(steps: int) -> None:
    settings = resolved(
        Wanted(steps=steps, rate=0.5, warm_up=0.1), parameters=1, window=64, tokens=1000, dtype="float32"
    )
    rates = [loop.learning_rate(settings, step) for step in range(steps)]
    peak = rates.index(max(rates))
    assert max(rates) == 0.5
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak <= max(1, steps // 10)
    assert min(rates[peak:]) >= 0.05
    assert steps < 100 or rates[-1] < 0.06


def test_it_learns(model: Path) -> None:
    told = Told()
    ended = train_tiny(model, told)
    assert isinstance(ended, Finished)
    assert ended.reason == "all steps done"
    assert ended.perplexity < 0.8 * ended.base_perplexity
    assert [event.step for event in told.of(Stepped)] == list(range(1, STEPS + 1))
    assert [event.step for event in told.of(Evaluated)] == list(range(STEPS + 1))


def test_it_ends_when_nothing_gets_better(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([5.0, 4.0, 4.5, 3.0, 3.5, 3.5, 9.0])
    monkeypatch.setattr(loop, "measure", lambda _run: next(measured))
    told = Told()
    ended = train_tiny(model, told, patience=2, steps=20)
    assert isinstance(ended, Finished)
    assert (ended.step, ended.reason) == (3, "no better any more")
    assert [event.best for event in told.of(Evaluated)] == [False, True, False, True, False, False]


def test_a_stop_ends_the_run_with_the_best_so_far(model: Path) -> None:
    told = wish_at(3, "stop")
    ended = train_tiny(model, told)
    assert isinstance(ended, Finished)
    assert (ended.step, ended.reason) == (3, "stopped")
    assert told.kinds.count("step") == 3


def test_a_stop_before_the_first_measurement_measures(model: Path) -> None:
    told = wish_at(2, "stop")
    ended = train_tiny(model, told, steps=200)  # measured every ten
    assert isinstance(ended, Finished)
    assert ended.step == 2
    assert ended.perplexity < ended.base_perplexity


def test_a_pause_waits_until_it_may_go_on_and_changes_nothing(model: Path) -> None:
    whole = train_tiny(model)
    told = wish_at(2, "pause")
    told._at["paused"] = lambda event: RunFolder(GENRE).wish("go")
    paused = train_tiny(model, told)
    assert told.of(Paused) == [Paused(paused=True), Paused(paused=False)]
    assert told.kinds.count("step") == STEPS
    assert isinstance(whole, Finished)
    assert isinstance(paused, Finished)
    assert paused.perplexity == whole.perplexity


def test_a_paused_run_may_be_stopped_or_interrupted(model: Path) -> None:
    told = wish_at(2, "pause")
    told._at["paused"] = lambda event: RunFolder(GENRE).wish("stop") if event.paused else None
    ended = train_tiny(model, told)
    assert isinstance(ended, Finished)
    assert ended.reason == "stopped"
    told = wish_at(2, "pause")
    interrupted = train_tiny(model, told, interrupted=lambda: bool(told.of(Paused)))
    assert interrupted == Stopped(step=2)


def test_wishes_from_before_the_run_are_forgotten(model: Path) -> None:
    RunFolder(GENRE).wish("stop")
    told = Told()
    assert isinstance(train_tiny(model, told), Finished)
    assert told.kinds.count("step") == STEPS


def test_a_run_interrupted_before_its_first_step_goes_on_from_there(model: Path) -> None:
    whole = train_tiny(model)
    assert train_tiny(model, interrupted=lambda: True) == Stopped(step=0)
    found, _ = load_newest(RunFolder(GENRE).path)
    assert found is not None
    assert found.progress.base_loss is not None
    resumed = train_tiny(model, resume=True)
    assert isinstance(whole, Finished)
    assert isinstance(resumed, Finished)
    assert (resumed.perplexity, resumed.base_perplexity) == (whole.perplexity, whole.base_perplexity)


def test_another_run_s_events_are_another_file(model: Path) -> None:
    events = RunFolder(GENRE).events
    assert train_tiny(model, interrupted=lambda: True) == Stopped(step=0)
    before = events.stat().st_ino
    assert train_tiny(model, interrupted=lambda: True, resume=True) == Stopped(step=0)
    assert events.stat().st_ino == before
    assert train_tiny(model, interrupted=lambda: True, restart=True) == Stopped(step=0)
    assert events.stat().st_ino != before


def test_each_process_drops_what_it_would_have_dropped_had_the_run_never_stopped(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[int, bytes] = {}

    def noted(*given: Any) -> torch.Tensor:
        drawn[given[2].step] = torch.get_rng_state().numpy().tobytes()
        return accumulate(*given)

    def draws(rank: int, **options: Any) -> dict[int, bytes]:
        drawn.clear()
        monkeypatch.setattr(processes, "join", lambda device: (Processes(rank, 1), device))
        train_tiny(model, **options)
        return dict(drawn)

    monkeypatch.setattr(loop, "accumulate", noted)
    first, second = draws(0), draws(1)
    assert len({*first.values(), *second.values()}) == 2 * STEPS
    told = Told()
    monkeypatch.setattr(processes, "join", lambda device: (Processes(), device))
    assert train_tiny(model, told, interrupted=lambda: len(told.of(Stepped)) == 3) == Stopped(step=3)
    assert draws(1, resume=True) == {step: second[step] for step in range(3, STEPS)}
    assert draws(0, resume=True) == {step: first[step] for step in range(3, STEPS)}


def test_a_run_goes_on_under_its_own_name_only(model: Path) -> None:
    assert train_tiny(model, name="sea", interrupted=lambda: True) == Stopped(step=0)
    with pytest.raises(TrainingError, match="--name sea"):
        train_tiny(model, resume=True)
    ended = train_tiny(model, name="sea", resume=True)
    assert isinstance(ended, Finished)
    assert ended.adapter == "sea"


def test_samples_follow_the_same_words_and_leave_chance_alone(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storyteller.training.run.sampler", sampler)
    told = Told()
    train_tiny(model, told, steps=2)
    samples = told.of(Sampled)
    assert [sample.step for sample in samples] == [0, 1, 2]
    assert len({sample.prompt for sample in samples}) == 1
    assert len({sample.text for sample in samples}) > 1
    assert "<|endoftext|>" not in samples[0].prompt + samples[0].text
    again = Told()
    train_tiny(model, again, steps=2)
    assert again.of(Sampled) == samples


def test_no_better_than_the_base_is_no_result(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([4.0, 4.0, 4.5, 4.0])
    monkeypatch.setattr(loop, "measure", lambda _run: next(measured))
    with pytest.raises(TrainingError, match=r"After 3 steps .* no better than the base"):
        train_tiny(model, steps=3)


def test_a_run_says_what_it_learns_from_and_what_was_purged_meanwhile_is_not_put_to_use(model: Path) -> None:
    marks = ("5e" * 32,)
    assert train_tiny(model, datasets=marks, interrupted=lambda: True) == Stopped(step=0)
    folder = RunFolder(GENRE)
    assert marks[0].encode() in folder.settings.read_bytes()
    told = Told()
    with pytest.raises(TrainingError, match="purged"):
        train_tiny(model, told, datasets=marks, withdrawn=lambda: True, resume=True)
    assert isinstance(told.events[-1], Failed)
    assert not adapters_dir().exists()
    assert not folder.unfinished
    assert not (folder.path / "result").exists()


def test_memory_is_counted() -> None:
    assert 0.01 < loop.memory_gb(torch.device("cpu")) < 1000
