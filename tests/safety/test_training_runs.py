"""Safety 47, 48, 52 and 57: disks that fail a run, damaged checkpoints, and settings that change under it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from storyteller.errors import TrainingError
from storyteller.paths import adapters_dir
from storyteller.training import checkpoint as checkpoints
from storyteller.training import result, run
from storyteller.training.events import (
    Checkpointed,
    Finished,
    Resumed,
    Said,
    Stepped,
    Stopped,
    read_events,
)
from storyteller.training.run_folder import RunFolder
from tests.stubs.folders import names_in
from tests.stubs.tiny_gpt2 import write_model
from tests.stubs.tiny_training import (
    GENRE,
    STEPS,
    Told,
    fail_call,
    interrupted_at,
    train_tiny,
    verses,
    weights_of,
)

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("quick")


def full_disk(*_: object, **__: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# 47


def test_47_a_damaged_checkpoint_costs_a_few_steps_and_is_named(model: Path) -> None:
    whole = train_tiny(model)
    interrupted_at(4, model, save_every=2)
    newest = RunFolder(GENRE).path / "step-4"
    (newest / "optimiser.safetensors").write_bytes(b"")
    told = Told()
    resumed = train_tiny(model, told, resume=True)
    assert [event.message for event in told.of(Said)] == [
        "step-4 is damaged, so the run goes on from an earlier one."
    ]
    assert told.of(Resumed) == [Resumed(step=2)]
    assert weights_of(resumed) == weights_of(whole)


def test_47_when_all_are_damaged_the_run_is_not_begun_anew_in_silence(model: Path) -> None:
    interrupted_at(4, model, save_every=2)
    for step in (2, 4):
        (RunFolder(GENRE).path / f"step-{step}" / "COMPLETE.json").unlink()
    with pytest.raises(TrainingError, match=r"step-4, step-2.* damaged.*--restart"):
        train_tiny(model, resume=True)
    with pytest.raises(TrainingError, match="unfinished"):
        train_tiny(model)
    assert isinstance(train_tiny(model, restart=True), Finished)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"settings":"\xff"}', b"\xff\xfe"])
def test_47_without_the_run_s_settings_no_checkpoint_is_trusted(model: Path, content: bytes) -> None:
    interrupted_at(2, model)
    RunFolder(GENRE).settings.write_bytes(content)
    with pytest.raises(TrainingError, match="--restart"):
        train_tiny(model, resume=True)


# 48


def test_48_a_full_disk_during_a_checkpoint_is_said_and_the_run_goes_on(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_tiny(model)
    fail_call(
        monkeypatch, checkpoints, "save_synced", {4, 5}, full_disk
    )  # in the second and third checkpoint
    kept = []
    told = Told(said=lambda _: kept.append(checkpoints.load_newest(RunFolder(GENRE).path)[0]))
    ended = train_tiny(model, told, save_every=1)
    assert weights_of(ended) == weights_of(whole)
    assert [event.step for event in told.of(Checkpointed)] == [1, 4, 5, 6]
    assert [event.message for event in told.of(Said)] == [
        "No checkpoint could be written (No space left on device); the run goes on."
    ] * 2
    assert [checkpoint.progress.step for checkpoint in kept if checkpoint] == [1, 1]


def test_48_events_that_find_no_room_stop_no_run(model: Path) -> None:
    events = RunFolder(GENRE).events

    def fill(_: object) -> None:
        events.unlink(missing_ok=True)
        events.symlink_to("/dev/full")

    told = Told(checkpointed=fill)
    assert isinstance(train_tiny(model, told, save_every=2), Finished)
    assert told.kinds[-1] == "finished"
    assert told.kinds.count("step") == STEPS


def test_48_a_disk_full_of_everything_still_ends_in_a_sentence(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "save_synced", full_disk)
    monkeypatch.setattr(result, "save_synced", full_disk)
    events = RunFolder(GENRE).events

    def fill(_: object) -> None:
        events.unlink(missing_ok=True)
        events.symlink_to("/dev/full")

    told = Told(said=fill)
    with pytest.raises(TrainingError, match="No space left on device"):
        train_tiny(model, told, save_every=2)
    assert told.kinds[-1] == "failed"


@pytest.mark.parametrize("place", ["save_synced", "write_synced", "publish"])
def test_48_a_full_disk_at_the_end_is_failure_and_what_was_learned_is_kept(
    model: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    whole = train_tiny(model)
    told = Told()
    with monkeypatch.context() as patch:
        patch.setattr(run if place == "publish" else result, place, full_disk)
        with pytest.raises(TrainingError, match=r"No space left.*same command with --resume"):
            train_tiny(model, told, save_every=4)
    assert told.kinds[-1] == "failed"
    assert not told.of(Finished)
    assert names_in(adapters_dir() / GENRE) == ["current", "v0001"]
    assert weights_of(train_tiny(model, resume=True)) == weights_of(whole)


def test_48_no_resume_is_promised_where_no_checkpoint_is(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result, "save_synced", full_disk)
    with pytest.raises(TrainingError, match="No space left") as caught:
        train_tiny(model)
    assert "--resume" not in caught.value.message


def test_48_a_stop_that_cannot_be_saved_is_failure(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "save_synced", full_disk)
    told = Told()
    with pytest.raises(TrainingError, match="No space left"):
        train_tiny(model, told, interrupted=lambda: len(told.of(Stepped)) >= 3)
    assert told.kinds[-1] == "failed"
    assert not told.of(Stopped)


# 52, 57


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rank": 3}, r"rank 2 \(now 3\)"),
        ({"seed": 1}, r"seed 0 \(now 1\)"),
        ({"rate": 2e-2}, r"rate 0\.01 \(now 0\.02\)"),
        ({"steps": 9, "alpha": 4.0}, r"alpha 8\.0 \(now 4\.0\), steps 6 \(now 9\)"),
        ({"texts": [*verses(12)[:-1], "Other words.\n" * 8]}, "other texts"),
        ({"texts": verses(13)}, "other texts"),
    ],
    ids=str,
)
def test_52_and_57_a_run_goes_on_with_what_it_was_begun_with_only(
    model: Path, changes: dict[str, Any], named: str
) -> None:
    interrupted_at(2, model)
    before = {path: path.read_bytes() for path in RunFolder(GENRE).path.rglob("*") if path.is_file()}
    with pytest.raises(TrainingError, match=rf"begun with {named}\. .*--restart"):
        train_tiny(model, resume=True, **changes)
    kept = {path: path.read_bytes() for path in RunFolder(GENRE).path.rglob("*") if path.is_file()}
    lock, control = (RunFolder(GENRE).path / name for name in ("lock", "control"))
    assert {path for path in before if before[path] != kept.get(path)} <= {lock, control}
    assert isinstance(train_tiny(model, resume=True), Finished)


def test_57_another_base_is_refused(model: Path, tmp_path: Path) -> None:
    interrupted_at(2, model)
    other = write_model(tmp_path / "other", seed=1)
    with pytest.raises(TrainingError, match="begun with another base"):
        train_tiny(other, resume=True)


def test_57_a_changed_run_begins_anew_where_that_is_asked_for(model: Path) -> None:
    plain = train_tiny(model, rank=3)
    interrupted_at(2, model)
    told = Told()
    anew = train_tiny(model, told, restart=True, rank=3)
    assert told.kinds[0] == "planned"
    assert weights_of(anew) == weights_of(plain)
    assert [event for _, event in read_events(RunFolder(GENRE).events)] == told.events


def test_57_an_unfinished_run_is_neither_overwritten_nor_forgotten(model: Path) -> None:
    interrupted_at(2, model)
    with pytest.raises(TrainingError, match=r"unfinished run of poetry is here.*--resume.*--restart"):
        train_tiny(model)
    assert isinstance(train_tiny(model, resume=True), Finished)
    with pytest.raises(TrainingError, match="no run of poetry to go on with"):
        train_tiny(model, resume=True)
