"""The bench of guessing ahead: every text written twice, the same both times, and judged by kind."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from storyteller.bench import speculation
from storyteller.bench.figures import Bound
from storyteller.bench.speculation import Report, bench_speculation, kinds
from tests.stubs.tiny_gpt2 import Room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def room(make_model: Callable[..., Path]) -> Room:
    """A tiny model whose window holds what the bench writes."""
    return Room(make_model(n_positions=256))


@pytest.fixture
def report(room: Room) -> Report:
    """Two rounds by a clock that ticks once a look."""
    ticks = count()
    return bench_speculation(room.core, takes=(1, 2), tokens=8, rounds=2, clock=lambda: float(next(ticks)))


def test_every_text_is_written_with_and_without_and_is_the_same(report: Report) -> None:
    assert [(row.text, row.takes) for row in report.rows] == [
        (kind.name, takes) for kind in kinds() for takes in (1, 2)
    ]
    assert len(report.rounds) == 2 * len(report.rows)
    assert all(row.same for row in report.rounds)


def test_speed_is_tokens_after_the_first_by_the_clock(report: Report) -> None:
    assert {(row.without, row.with_guesses) for row in report.rows if row.takes == 1} == {(7.0, 7.0)}
    assert {(row.without, row.with_guesses) for row in report.rows if row.takes == 2} == {(15.0, 15.0)}
    assert {row.ratio for row in report.rows} == {1.0}


def test_repetitive_texts_must_gain_and_no_text_may_lose(report: Report) -> None:
    limits = {bound.what: bound.limit for bound in report.bounds}
    assert limits["a refrain, greedy: times as fast"] == 1.5
    assert limits["its own loop, greedy, 2 takes: times as fast"] == 1.5
    assert limits["prose, temperature 1, 2 takes: times as fast"] == 0.95
    assert {bound.met for bound in report.bounds if bound.limit == 1.5} == {False}
    assert {bound.met for bound in report.bounds if bound.limit == 0.95} == {True}


@pytest.mark.parametrize(("value", "code"), [(1.6, 0), (1.4, 1)])
def test_a_bound_that_is_missed_is_the_exit_code(
    report: Report,
    tiny_model: Path,
    value: float,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judged = replace(report, bounds=(Bound(what="a refrain", value=value, limit=1.5),))
    asked: list[dict[str, Any]] = []

    def measured(_: object, **options: Any) -> Report:
        asked.append(options)
        return judged

    monkeypatch.setattr(speculation, "bench_speculation", measured)
    options: dict[str, Any] = {"tokens": 9, "rounds": 3}
    assert speculation.main(str(tiny_model), **options, as_json=True) == code
    assert json.loads(capsys.readouterr().out)["bounds"][0]["value"] == value
    assert speculation.main(str(tiny_model), **options, as_json=False) == code
    assert ("pass" if code == 0 else "FAIL") in capsys.readouterr().out
    assert asked == [options, options]
