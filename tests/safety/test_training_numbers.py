"""Safety 49 and 51: memory that ends, and losses that are no numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from storyteller.engine.catalogue import find_adapters
from storyteller.errors import TrainingError
from storyteller.training import loop
from storyteller.training.events import (
    Checkpointed,
    Evaluated,
    Failed,
    Finished,
    Said,
    Stepped,
    Stopped,
)
from storyteller.training.network import Learner
from storyteller.training.run_folder import RunFolder
from tests.stubs.tiny_gpt2 import write_model
from tests.stubs.tiny_training import (
    GENRE,
    STEPS,
    Told,
    fail_call,
    interrupted_at,
    train_tiny,
)

if TYPE_CHECKING:
    from torch import Tensor

NO_MEMORY = "CUDA out of memory. Tried to allocate 20.00 GiB."


pytestmark = pytest.mark.usefixtures("quick")


def rows_learned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sequences each later step learns from at once; grows as it learns."""
    found: list[int] = []
    original = Learner.loss

    def loss(self: Learner, ids: Tensor, targets: Tensor) -> Tensor:
        if self.model.training:
            found.append(len(ids))
        return original(self, ids, targets)

    monkeypatch.setattr(Learner, "loss", loss)
    return found


def largest_difference(one: Finished | Stopped, other: Finished | Stopped) -> float:
    """Of any number of two adapters."""
    assert isinstance(one, Finished)
    assert isinstance(other, Finished)
    ours, theirs = (load_file(Path(path) / "adapter_model.safetensors") for path in (one.path, other.path))
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


# 49


@pytest.mark.parametrize("calls", [{1}, {3}, {STEPS}], ids=str)
def test_49_out_of_memory_halves_the_sequences_at_once_and_changes_no_step(
    model: Path, monkeypatch: pytest.MonkeyPatch, calls: set[int]
) -> None:
    whole = train_tiny(model, dropout=0.0)
    original, count = Learner.loss, [0]

    def loss(self: Learner, ids: Tensor, targets: Tensor) -> Tensor:
        if self.model.training:
            count[0] += 1
            if count[0] in calls:
                raise RuntimeError(NO_MEMORY)
        return original(self, ids, targets)

    monkeypatch.setattr(Learner, "loss", loss)
    told = Told()
    halved = train_tiny(model, told, dropout=0.0)
    assert [event.message for event in told.of(Said)] == [
        "There was not enough memory, so 2 sequences are read at once; a step still learns from 4."
    ]
    assert largest_difference(halved, whole) <= 1e-6


def test_49_memory_that_ends_in_the_middle_of_a_step_counts_nothing_twice(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_tiny(model, dropout=0.0)
    original, count = torch.autograd.backward, [0]

    def backward(*args: Any, **named: Any) -> None:
        original(*args, **named)
        count[0] += 1
        if count[0] == 4:  # the second half of the second step, whose gradients are there by now
            raise torch.OutOfMemoryError(NO_MEMORY)

    monkeypatch.setattr(torch.autograd, "backward", backward)
    told = Told()
    halved = train_tiny(model, told, dropout=0.0, micro_batch=2)
    assert [event.message for event in told.of(Said)] == [
        "There was not enough memory, so one sequence is read at once; a step still learns from 4."
    ]
    assert largest_difference(halved, whole) <= 1e-6


def test_49_a_resumed_run_remembers_how_many_fit(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fail_call(patch, torch.autograd, "backward", {1}, lambda: RuntimeError(NO_MEMORY))
        interrupted_at(2, model)
    learned = rows_learned(monkeypatch)
    train_tiny(model, resume=True)
    assert set(learned) == {2}


def test_49_fewer_at_once_may_be_asked_for_when_a_run_goes_on(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_at(2, model)
    learned = rows_learned(monkeypatch)
    train_tiny(model, resume=True, micro_batch=1)
    assert set(learned) == {1}


@pytest.mark.parametrize("where", ["a step", "a measurement"])
def test_49_not_enough_for_one_sequence_is_a_sentence(
    model: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    original = Learner.loss

    def loss(self: Learner, ids: Tensor, targets: Tensor) -> Tensor:
        if self.model.training == (where == "a step"):
            raise RuntimeError(NO_MEMORY)
        return original(self, ids, targets)

    monkeypatch.setattr(Learner, "loss", loss)
    told = Told()
    with pytest.raises(TrainingError, match=r"not enough memory.*--seq"):
        train_tiny(model, told)
    assert told.kinds[-1] == "failed"
    assert not find_adapters(model)


def test_49_another_runtime_error_is_not_taken_for_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_call(monkeypatch, torch.autograd, "backward", {2}, lambda: RuntimeError("a fault of ours"))
    told = Told()
    with pytest.raises(RuntimeError, match="a fault of ours"):
        train_tiny(model, told)
    assert told.events[-1] == Failed(message="RuntimeError: a fault of ours")


# 51


@pytest.fixture(scope="module")
def modest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows that it knows nothing: whatever explodes is worse."""
    folder = write_model(tmp_path_factory.mktemp("modest"))
    tensors = load_file(folder / "model.safetensors")
    small = {name: tensor * (1.0 if ".ln_" in name else 0.1) for name, tensor in tensors.items()}
    save_file(small, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("rate", [1e3, 1e4])
def test_51_a_rate_that_explodes_leaves_what_was_best_before_it_did(modest: Path, rate: float) -> None:
    told = Told()
    ended = train_tiny(modest, told, rate=rate, steps=12)
    assert isinstance(ended, Finished)
    assert ended.reason == "the loss was no number any more"
    assert ended.step < len(told.of(Stepped)) + 1 < 12
    best = min(event.perplexity for event in told.of(Evaluated))
    assert ended.perplexity == best < ended.base_perplexity
    assert any("the best before is kept" in event.message for event in told.of(Said))
    tensors = load_file(Path(ended.path) / "adapter_model.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    assert not RunFolder(GENRE).unfinished


@pytest.mark.parametrize("patience", [0, 2])
def test_51_an_adapter_that_only_gets_worse_is_not_put_to_use(
    model: Path, monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    monkeypatch.setattr(loop, "learning_rate", lambda settings, step: -settings.rate)  # uphill
    told = Told()
    with pytest.raises(TrainingError, match=r"no better than the base.*--rate than 0\.01"):
        train_tiny(model, told, patience=patience)
    assert told.kinds[-1] == "failed"
    assert not find_adapters(model)
    assert not RunFolder(GENRE).unfinished
    assert len(told.of(Stepped)) == (3 if patience else STEPS)  # the first measurement was the best of them


def not_a_number_from(monkeypatch: pytest.MonkeyPatch, step: int, *, measured: bool) -> None:
    """The loss is none from `step` on, where it is learned from or where it is measured."""
    original, count = Learner.loss, [0]

    def loss(self: Learner, ids: Tensor, targets: Tensor) -> Tensor:
        plain = original(self, ids, targets)
        if self.model.training:
            count[0] += 1
        due = count[0] >= step and self.model.training != measured
        return plain * float("nan") if due else plain

    monkeypatch.setattr(Learner, "loss", loss)


@pytest.mark.parametrize("measured", [False, True], ids=["learned", "measured"])
def test_51_what_was_best_before_is_kept_and_it_is_said(
    model: Path, monkeypatch: pytest.MonkeyPatch, *, measured: bool
) -> None:
    not_a_number_from(monkeypatch, 4, measured=measured)
    third = []

    def keep(event: Checkpointed) -> None:
        if event.step == 3:
            third.append(load_file(RunFolder(GENRE).path / "step-3" / "adapter.safetensors"))

    told = Told(checkpointed=keep)
    ended = train_tiny(model, told, save_every=1)
    assert isinstance(ended, Finished)
    assert ended.step == 3
    published = load_file(Path(ended.path) / "adapter_model.safetensors")
    assert all(torch.equal(published[name], tensor) for name, tensor in third[0].items())
    assert ended.reason == "the loss was no number any more"
    assert any("the best before is kept" in event.message for event in told.of(Said))
    assert ended.perplexity < ended.base_perplexity
    assert told.kinds.count("step") == (4 if measured else 3)


@pytest.mark.parametrize("measured", [False, True], ids=["learned", "measured"])
def test_51_a_first_step_that_is_no_number_is_never_the_best(
    model: Path, monkeypatch: pytest.MonkeyPatch, *, measured: bool
) -> None:
    not_a_number_from(monkeypatch, 1, measured=measured)
    told = Told()
    with pytest.raises(TrainingError, match="lower rate"):
        train_tiny(model, told)
    assert [event.best for event in told.of(Evaluated)] == [False]
    assert told.kinds[-1] == "failed"


def test_51_a_base_that_gives_no_number_is_not_blamed_on_the_rate(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_a_number_from(monkeypatch, 0, measured=True)
    with pytest.raises(TrainingError, match="base itself"):
        train_tiny(model)


def test_51_gradients_without_end_stop_the_run(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("inf")))
    with pytest.raises(TrainingError, match="not a number"):
        train_tiny(model)
