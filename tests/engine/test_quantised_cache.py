"""Weights in few bits on disk: mapped at the next start, made again where they are damaged, and never in the way."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from storyteller.engine.network import quantised_cache
from storyteller.engine.network.quantised_cache import cache_path, load, store
from storyteller.paths import cache_dir
from tests.stubs.confined import run_as_plain_user, run_with_small_disk
from tests.stubs.folders import open_folder

if TYPE_CHECKING:
    from pathlib import Path


def some_tensors(size: int = 64) -> dict[str, torch.Tensor]:
    return {
        "h.0.data": torch.arange(size).remainder(251).to(torch.uint8),
        "h.0.scales": torch.ones(32, dtype=torch.float16),
        "head.scales": torch.arange(16, dtype=torch.float32),
    }


@pytest.fixture
def path() -> Path:
    return cache_path("f" * 32, 4)


def test_what_is_kept_is_read_again(path: Path) -> None:
    tensors = some_tensors()
    assert load(path) is None
    assert store(path, tensors) is None
    read = load(path)
    assert read is not None
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


def test_models_and_bits_have_files_of_their_own() -> None:
    paths = {cache_path(model, bits) for model in ("a" * 32, "b" * 32) for bits in (4, 8)}
    assert len(paths) == 4
    assert all(path.is_relative_to(cache_dir()) for path in paths)


@pytest.mark.parametrize("letters", range(1, 24, 3))
def test_data_begin_where_a_vector_may_be_read(path: Path, letters: int) -> None:
    tensors = {f"{'x' * letters}.{name}": tensor for name, tensor in some_tensors().items()}
    assert store(path, tensors) is None
    read = load(path)
    assert read is not None
    with path.open("rb") as stream:
        assert (8 + int.from_bytes(stream.read(8), "little")) % 64 == 0
    assert all(tensor.data_ptr() % 64 == 0 for tensor in read.values())


def test_only_the_owner_may_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        store(path, some_tensors())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_nothing_else_is_left_behind(path: Path) -> None:
    store(path, some_tensors())
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("kept", [0, 5, 40, -1])
def test_a_file_cut_short_is_none(path: Path, kept: int) -> None:
    store(path, some_tensors())
    path.write_bytes(path.read_bytes()[:kept])
    assert load(path) is None


def test_a_file_of_something_else_is_none(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"<!DOCTYPE html>" * 20)
    assert load(path) is None
    path.unlink()
    path.mkdir()
    assert load(path) is None


def test_a_file_in_use_may_be_replaced(path: Path) -> None:
    store(path, some_tensors())
    read = load(path)
    store(path, {name: tensor * 0 for name, tensor in some_tensors().items()})
    assert read is not None
    assert all(torch.equal(read[name], tensor) for name, tensor in some_tensors().items())


def test_a_folder_that_is_a_file_is_said(path: Path) -> None:
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("")
    said = store(path, some_tensors())
    assert said is not None
    assert "could not be kept for the next start" in said


_IMPORTS = """
import sys
from pathlib import Path
import torch
from storyteller.engine.network.quantised_cache import load, store
"""
_STORE = """
path = Path(sys.argv[1]) / "weights" / "model.safetensors"
print(store(path, {"a": torch.zeros(int(sys.argv[2]), dtype=torch.uint8)}))
print(load(path) is not None)
print(sorted(entry.name for entry in path.parent.iterdir()) if path.parent.exists() else [])
"""


def test_a_full_disk_is_said_and_nothing_is_left() -> None:
    said, loaded, left = run_with_small_disk(_IMPORTS + _STORE, "200000").splitlines()
    assert "could not be kept for the next start" in said
    assert (loaded, left) == ("False", "[]")
    assert run_with_small_disk(_IMPORTS + _STORE, "6400").splitlines()[:2] == ["None", "True"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that is not the user's")
def test_a_directory_that_cannot_be_written_is_said_and_still_read() -> None:
    with open_folder() as folder:
        path = folder / "weights" / "model.safetensors"
        store(path, some_tensors())
        path.chmod(0o444)
        path.parent.chmod(0o755)
        said, loaded, left = run_as_plain_user(_IMPORTS, _STORE, folder, "6400").splitlines()
    assert "could not be kept for the next start" in said
    assert (loaded, left) == ("True", "['model.safetensors']")


def opened(path: Path, when: int) -> Path:
    store(path, some_tensors())
    os.utime(path, (when, when))
    return path


def test_the_models_opened_longest_ago_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    old, middle, new = (cache_path(letter * 32, 4) for letter in "abc")
    size = opened(old, 1000).stat().st_size
    opened(middle, 2000)
    assert load(old) is not None  # so that it is the one opened last
    monkeypatch.setattr(quantised_cache, "_MOST_BYTES", 2 * size)
    store(new, some_tensors())
    assert [path.exists() for path in (old, middle, new)] == [True, False, True]


def test_what_a_killed_run_left_is_cleared_and_what_another_is_writing_is_not(path: Path) -> None:
    path.parent.mkdir(parents=True)
    for name, age in (("storing-old", 100_000), ("storing-new", 0)):
        folder = path.parent / name
        folder.mkdir()
        save_file(some_tensors(), folder / "model.safetensors")
        when = folder.stat().st_mtime - age
        os.utime(folder, (when, when))
    store(path, some_tensors())
    assert {entry.name for entry in path.parent.iterdir()} == {"storing-new", path.name}
    assert load_file(path)
