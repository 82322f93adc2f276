"""The bench of typing beside a model: numbers of threads, and the speed that the status line says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from storyteller.bench import machine, threads
from storyteller.bench.ui import Latency, Report, rate_said

if TYPE_CHECKING:
    from collections.abc import Callable


def report(p95_ms: float) -> Report:
    key = Latency("typing over a stream", 5, 10.0, p95_ms, 50.0)
    return Report(words=100, tokens_per_s=20.0, engine="large", first_paint_s=0.3, keys=(key,))


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, float]], list[dict[str, Any]]]:
    """Pretend to measure: p95 by threads; what was asked for is in the list."""

    def pretend(p95_of: dict[int, float]) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def bench_ui(**options: Any) -> Report:
            asked.append(options)
            return report(p95_of[options["threads"]])

        monkeypatch.setattr(threads, "bench_ui", bench_ui)
        return asked

    return pretend


@pytest.mark.parametrize(("here", "counts"), [(1, [0, 1]), (2, [0, 2, 1]), (8, [0, 8, 7])])
def test_the_engine_s_choice_every_core_and_one_less(
    measure: Callable[[dict[int, float]], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    here: int,
    counts: list[int],
) -> None:
    monkeypatch.setattr(threads, "cores", lambda: here)
    asked = measure(dict.fromkeys(counts, 20.0))
    measured = threads.bench_threads("large", dtype="bfloat16", samples=7)
    assert [one.threads for one in measured] == counts
    assert asked[0] == {"model": "large", "dtype": "bfloat16", "samples": 7, "threads": 0}


def test_only_the_engine_s_own_choice_is_judged(
    measure: Callable[[dict[int, float]], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    measure({0: 30.0, 2: 90.0})
    assert threads.main("large", counts=[0, 2], as_json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [one["screen"]["keys"][0]["p95_ms"] for one in printed] == [30.0, 90.0]
    measure({0: 90.0, 2: 30.0})
    assert threads.main("large", counts=[0, 2]) == 1
    assert "its choice" in capsys.readouterr().out


def test_the_rate_is_read_from_the_status_line() -> None:
    page = ["99 tok/s, it said."] + [""] * 36
    lines = ["-" * 20, "stories   large · cpu · 14 tok/s   take 1 of 1", "tab keep it all"]
    assert rate_said([*page, *lines]) == 14.0
    assert rate_said([*page, "", "", ""]) is None


def test_every_machine_has_cores_and_a_name() -> None:
    assert machine.cores() >= 1
    assert machine.processor().endswith(f", {machine.cores()} cores")
    assert machine.devices()[0] == "cpu"
