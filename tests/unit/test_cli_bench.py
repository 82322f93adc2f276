"""`storyteller bench`: what is asked for reaches the bench, and what cannot be measured is said before anything is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from storyteller.bench import engine, speculation, threads, ui
from storyteller.cli.app import run
from storyteller.paths import starter_model_dir

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each bench was asked for; nothing is measured."""
    calls: list[Any] = []

    def record(*given: Any, **options: Any) -> int:
        calls.append((*given, options))
        return 0

    for bench in (engine, speculation, threads, ui):
        monkeypatch.setattr(bench, "main", record)
    return calls


def plan_of(asked: list[Any]) -> engine.Plan:
    [(plan, _)] = asked
    assert isinstance(plan, engine.Plan)
    return plan


def test_what_is_asked_for_is_planned(asked: list[Any], starter_model: Path) -> None:
    options = ["--model", str(starter_model), "--peer", "transformers", "--rounds", "5", "--threads", "2"]
    lengths = ["--context", "64", "--context", "128"]
    assert run(["bench", "engine", *options, *lengths, "--dtype", "float32", "--dtype", "bfloat16"]) == 0
    plan = plan_of(asked)
    assert plan.model == starter_model
    assert list(plan.peers) == ["transformers"]
    assert list(plan.contexts) == [64, 128]
    assert list(plan.dtypes) == ["float32", "bfloat16"]
    assert (plan.rounds, plan.threads) == (5, 2)


def test_all_is_every_dtype_and_device_here(asked: list[Any], starter_model: Path) -> None:
    assert run(["bench", "engine", "--model", str(starter_model), "--dtype", "all", "--device", "all"]) == 0
    plan = plan_of(asked)
    assert {"float32", "bfloat16", "float16"} <= set(plan.dtypes)
    assert "auto" not in plan.dtypes
    assert plan.devices[0] == "cpu"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--peer", "ollama"], "There is no peer 'ollama'; there are transformers, llama.cpp."),
        (["--shape", "gpt3"], "There is no shape 'gpt3'; there are gpt2, gpt2-medium, gpt2-large, gpt2-xl."),
        (["--dtype", "int3"], "int3"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_what_cannot_be_measured_is_said(
    asked: list[Any], capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert run(["bench", "engine", *options]) != 0
    assert says in capsys.readouterr().err
    assert not asked


def test_typing_is_measured_beside_a_model_in_a_dtype_with_threads(
    asked: list[Any], starter_model: Path
) -> None:
    options = ["--samples", "9", "--dtype", "bfloat16", "--json"]
    assert run(["bench", "ui", "--model", "starter", "--threads", "1", *options]) == 0
    found = str(starter_model_dir())  # the room opens in a home of its own, which knows no names
    given = {"model": found, "samples": 9, "dtype": "bfloat16", "threads": 1, "as_json": True}
    assert asked.pop() == (given,)
    counts = ["--count", "0", "--count", "2"]
    assert run(["bench", "threads", "--model", str(starter_model), *counts, *options]) == 0
    given = {"samples": 9, "dtype": "bfloat16", "counts": [0, 2], "as_json": True}
    assert asked.pop() == (str(starter_model), given)


def test_guessing_ahead_is_measured_in_a_dtype_with_threads(asked: list[Any]) -> None:
    options = ["--dtype", "bfloat16", "--threads", "1", "--rounds", "3", "--tokens", "50"]
    assert run(["bench", "speculation", "--model", "starter", *options]) == 0
    given = {"dtype": "bfloat16", "threads": 1, "rounds": 3, "tokens": 50, "as_json": False}
    assert asked.pop() == ("starter", given)
