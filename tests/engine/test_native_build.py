"""Compiling the step: once a machine, never in anybody's way, and a machine without a compiler does without."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.network.native import engine as engines
from storyteller.engine.network.native.build import BuildError, build_library, built_library
from storyteller.engine.network.native.engine import native_engine, native_failure
from storyteller.paths import cache_dir

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not tried yet, and may."""
    monkeypatch.delenv("STORYTELLER_COMPILE")
    monkeypatch.setattr(engines, "_engines", {})
    monkeypatch.setattr(engines, "_failure", None)
    monkeypatch.setattr(engines, "_builder", None)


def a_compiler(folder: Path, script: str) -> str:
    """A program that stands in for a compiler."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_it_is_compiled_once(tmp_path: Path, native_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "CXX",
        a_compiler(
            tmp_path,
            f'echo run >> {tmp_path}/runs\nwhile [ "$1" != -o ]; do shift; done\ncp {native_library} "$2"',
        ),
    )
    assert built_library() is None
    path = build_library()
    assert build_library() == built_library() == path
    assert (tmp_path / "runs").read_text() == "run\n"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert native_engine(1, wait=False) is not None


def test_without_waiting_the_first_call_finds_nothing_and_a_later_one_does(
    tmp_path: Path, native_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "CXX", a_compiler(tmp_path, f'while [ "$1" != -o ]; do shift; done\ncp {native_library} "$2"')
    )
    assert native_engine(1, wait=False) is None
    assert native_engine(1, wait=True) is native_engine(1, wait=False)


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BuildError, match="no C\\+\\+ compiler"):
        build_library()
    assert native_engine(1, wait=True) is None
    assert "no C++ compiler" in str(native_failure())


def test_a_compiler_that_fails_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "CXX", a_compiler(tmp_path, f"echo run >> {tmp_path}/runs\necho 'no such flag' >&2\nexit 1")
    )
    assert native_engine(1, wait=True) is None
    assert native_engine(1, wait=True) is None
    assert "no such flag" in str(native_failure())
    assert (tmp_path / "runs").read_text() == "run\n"


@pytest.mark.parametrize("makes", ["not a library", ""])
def test_a_library_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, makes: str) -> None:
    monkeypatch.setenv(
        "CXX", a_compiler(tmp_path, f'while [ "$1" != -o ]; do shift; done\nprintf "%s" "{makes}" > "$2"')
    )
    assert native_engine(1, wait=True) is None
    assert native_failure()


def test_a_cache_directory_that_cannot_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "cache").write_text("in the way")
    assert native_engine(1, wait=True) is None
    assert native_failure()


def test_it_can_be_forbidden(native_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORYTELLER_COMPILE", "never")
    assert native_library.is_file()
    assert native_engine(1, wait=True) is None
    assert "STORYTELLER_COMPILE" in str(native_failure())


def test_what_a_killed_compiler_left_behind_is_swept(
    tmp_path: Path, native_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = a_compiler(tmp_path, f'while [ "$1" != -o ]; do shift; done\ncp {native_library} "$2"')
    monkeypatch.setenv("CXX", compiler)
    folder = cache_dir() / "native"
    old, young = folder / "building-old", folder / "building-young"
    for left in (old, young):
        left.mkdir(parents=True)
    os.utime(old, (1, 1))
    build_library()
    assert not old.exists()
    assert young.exists()
