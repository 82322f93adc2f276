"""Checkpoints: whole or not there, whatever happens to the process, the disk or the files."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from storyteller.training import checkpoint as checkpoints
from storyteller.training.adapters import layout
from storyteller.training.checkpoint import Checkpoint, Progress
from storyteller.training.run_folder import RunFolder
from tests.stubs.folders import names_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CALLS = ("open", "write", "fsync", "mkdir", "rename", "unlink", "rmdir")
FILES = ("COMPLETE.json", "adapter.safetensors", "best.safetensors", "optimiser.safetensors", "progress.json")
MOST = 60  # calls of a checkpoint that takes an old one's place


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


def make(step: int) -> Checkpoint:
    tensors = {"a": torch.full((3, 2), float(step)), "b": torch.arange(step)}
    return Checkpoint(
        Progress(step=step, base_loss=7.5, seconds=0.25),
        tensors,
        {"c": tensors["a"]},
        {"0.step": tensors["b"]},
    )


def newest(folder: Path) -> int:
    """The step of the newest whole checkpoint, once it was seen to hold what was saved."""
    found, _ = checkpoints.load_newest(folder)
    assert found is not None
    whole = make(found.progress.step)
    assert found.progress == whole.progress
    for ours, theirs in (
        (found.adapter, whole.adapter),
        (found.best, whole.best),
        (found.optimiser, whole.optimiser),
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    return found.progress.step


def fail_call(patch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> None:
    """Have `act` run in place of call `number`, from 1, that touches the disk."""
    count = [0]

    def wrap(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **named: Any) -> Any:
            count[0] += 1
            if count[0] == number:
                act()
            return original(*args, **named)

        patch.setattr(owner, name, call)

    for name in CALLS:
        wrap(os, name)
    wrap(layout, "save_file")


def killed() -> None:
    raise Killed


def disk_is_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_checkpoint_comes_back_and_the_last_two_are_kept(tmp_path: Path) -> None:
    assert checkpoints.load_newest(tmp_path / "none") == (None, [])
    assert not RunFolder("poetry", tmp_path / "none").unfinished
    for step in (1, 9, 10, 100):
        assert checkpoints.save(tmp_path, make(step)) == tmp_path / f"step-{step}"
        assert newest(tmp_path) == step
    assert names_in(tmp_path) == ["step-10", "step-100"]
    assert names_in(tmp_path / "step-100") == sorted(FILES)


def test_only_checkpoints_are_removed(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, make(3))
    for name in ("step-4.tmp", "step-x", "result"):
        (tmp_path / name).mkdir()
    (tmp_path / "events.jsonl").touch()
    checkpoints.remove_all(tmp_path)
    assert names_in(tmp_path) == ["events.jsonl", "result", "step-x"]
    checkpoints.remove_all(tmp_path / "none")


# Safety 46: the process is killed while it saves


@pytest.mark.parametrize("step", [3, 2], ids=["a new step", "the same step again"])
def test_46_killed_at_every_call_of_a_save_a_whole_one_is_left(tmp_path: Path, step: int) -> None:
    done = False
    for number in range(1, MOST):
        folder = tmp_path / str(number)
        checkpoints.save(folder, make(1))
        checkpoints.save(folder, make(2))
        with pytest.MonkeyPatch.context() as patch:
            fail_call(patch, number, killed)
            try:
                checkpoints.save(folder, make(step))
                done = True
            except Killed:
                pass
        assert newest(folder) in {2, step}
        # Whoever goes on from it saves as ever, and sweeps up.
        checkpoints.save(folder, make(4))
        checkpoints.save(folder, make(5))
        assert names_in(folder) == ["step-4", "step-5"]
        if done:
            return
    pytest.fail(f"a save takes more than {MOST} calls")


# Safety 48: the disk is full while it saves


@pytest.mark.parametrize("step", [3, 2], ids=["a new step", "the same step again"])
def test_48_full_at_every_call_of_a_save_the_ones_before_are_whole(tmp_path: Path, step: int) -> None:
    possible: set[int] = set()
    for number in range(1, MOST):
        folder = tmp_path / str(number)
        checkpoints.save(folder, make(1))
        checkpoints.save(folder, make(2))
        with pytest.MonkeyPatch.context() as patch:
            fail_call(patch, number, disk_is_full)
            try:
                checkpoints.save(folder, make(step))
                possible = {step}
            except OSError:
                possible = {2, step}
        assert newest(folder) in possible
        assert not [name for name in names_in(folder) if name.endswith(".tmp")]
    assert possible == {step}, f"a save takes more than {MOST} calls"


# Safety 47: the newest one is damaged


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\x00{[" * 99)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def missing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [truncated, emptied, flipped, garbage, a_folder, missing])
@pytest.mark.parametrize("name", FILES)
def test_47_a_damaged_newest_one_is_passed_over_and_named(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    checkpoints.save(tmp_path, make(9))
    checkpoints.save(tmp_path, make(10))
    damage(tmp_path / "step-10" / name)
    found, damaged = checkpoints.load_newest(tmp_path)
    assert found is not None
    assert (found.progress.step, damaged) == (9, ["step-10"])


def test_47_a_file_too_many_or_another_run_s_file_is_damage(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, make(9))
    checkpoints.save(tmp_path, make(10))
    (tmp_path / "step-10" / "more").touch()
    assert newest(tmp_path) == 9
    (tmp_path / "step-10" / "more").unlink()
    assert newest(tmp_path) == 10
    shutil.copy(tmp_path / "step-9" / "adapter.safetensors", tmp_path / "step-10" / "adapter.safetensors")
    assert newest(tmp_path) == 9


def test_47_all_damaged_is_none(tmp_path: Path) -> None:
    for step in (9, 10):
        checkpoints.save(tmp_path, make(step))
        truncated(tmp_path / f"step-{step}" / "COMPLETE.json")
    assert checkpoints.load_newest(tmp_path) == (None, ["step-10", "step-9"])
    assert RunFolder("poetry", tmp_path).unfinished


def test_47_a_damaged_one_of_a_later_step_takes_no_whole_one_s_place(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, make(80))
    checkpoints.save(tmp_path, make(100))
    truncated(tmp_path / "step-100" / "best.safetensors")
    checkpoints.save(tmp_path, make(90))  # by the run that went on from 80
    assert names_in(tmp_path) == ["step-80", "step-90"]
