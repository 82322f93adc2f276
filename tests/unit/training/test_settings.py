"""What a run can be told, and what it does where it was not told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from storyteller.errors import TrainingError
from storyteller.training.settings import Wanted, check, resolved

MODEL: dict[str, Any] = {"parameters": 774_000_000, "window": 1024, "dtype": "float32"}


@pytest.mark.parametrize(
    ("option", "fields"),
    [
        ("--rank", {"rank": 0}),
        ("--rank", {"rank": 257}),
        ("--alpha", {"alpha": 0.0}),
        ("--alpha", {"alpha": float("nan")}),
        ("--dropout", {"dropout": -0.1}),
        ("--dropout", {"dropout": 1.0}),
        ("--rate", {"rate": 0.0}),
        ("--rate", {"rate": -1.0}),
        ("--rate", {"rate": float("nan")}),
        ("--rate", {"rate": float("inf")}),
        ("--epochs", {"epochs": 0.0}),
        ("--steps", {"steps": 0}),
        ("--batch", {"batch": 0}),
        ("--micro-batch", {"micro_batch": -4}),
        ("--seq", {"seq": 7}),
        ("--seed", {"seed": -1}),
        ("--seed", {"seed": 1 << 64}),
    ],
)
def test_what_cannot_be_trained_with_is_refused_by_name(option: str, fields: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=rf"^[\w ]*: {option} is .*; use a number from"):
        check(Wanted(**fields))


def test_the_defaults_and_the_outermost_values_are_taken() -> None:
    check(Wanted())
    check(Wanted(rank=256, alpha=64 * 256, dropout=0.9, rate=1e4, epochs=1000, batch=4096, seq=8))


def test_gaps_are_filled_by_model_and_texts() -> None:
    large = resolved(Wanted(), tokens=5_000_000, **MODEL)
    assert (large.rate, large.seq, large.steps) == (2e-4, 1024, round(2 * 5_000_000 / (1024 * 8)))
    little = resolved(Wanted(), tokens=100_000, **MODEL)
    assert (little.rate, little.seq, little.steps) == (3e-4, 256, round(12 * 100_000 / (256 * 8)))
    small = resolved(Wanted(), tokens=5_000_000, **MODEL | {"parameters": 12_000_000, "window": 512})
    assert (small.rate, small.seq) == (1e-3, 512)


def test_kept_spans_are_steps_of_their_own_and_the_texts_are_read_as_often_as_without() -> None:
    rows = 20_000 / 256
    for kept, beside in ((0, 0.0), (30, 30.0), (1_000, rows)):
        settings = resolved(Wanted(), tokens=20_000, kept=kept, **MODEL)
        assert settings.steps == round(12 * (rows + beside) / 8)
    assert resolved(Wanted(steps=7), tokens=20_000, kept=1_000, **MODEL).steps == 7


def test_what_was_asked_for_is_kept() -> None:
    wanted = Wanted(
        rank=3, alpha=5.0, rate=1e-5, steps=7, seq=100, batch=2, seed=9, patience=0, optimiser="adamw8bit"
    )
    settings = resolved(wanted, tokens=100_000, **MODEL)
    for field in (
        "rank",
        "alpha",
        "rate",
        "steps",
        "seq",
        "batch",
        "seed",
        "patience",
        "optimiser",
        "dropout",
    ):
        assert getattr(settings, field) == getattr(wanted, field), field
    assert resolved(Wanted(epochs=0.5, steps=7), tokens=100_000, **MODEL).steps == 7
    assert resolved(Wanted(epochs=0.001), tokens=100_000, **MODEL).steps == 1


def test_a_sequence_is_never_longer_than_the_window_or_the_texts() -> None:
    assert resolved(Wanted(seq=60_000), tokens=5_000_000, **MODEL).seq == 1024
    few = resolved(Wanted(batch=2), tokens=100, **MODEL)
    assert few.seq == 50
    assert few.steps == round(12 * 100 / (50 * 2))  # as many epochs as of any other text


@pytest.mark.parametrize("steps", [1, 19, 20, 1000])
def test_a_run_is_measured_about_twenty_times(steps: int) -> None:
    every = resolved(Wanted(steps=steps), tokens=100_000, **MODEL).measure_every
    assert 1 <= every <= steps
    assert steps // every <= 39


def test_settings_survive_a_file() -> None:
    settings = resolved(Wanted(rate=1 / 3), tokens=100_000, **MODEL)
    assert msgspec.json.decode(msgspec.json.encode(settings), type=type(settings)) == settings
