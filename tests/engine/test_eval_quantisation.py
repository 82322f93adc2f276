"""`eval quantisation`: what it finds on a model, what it prints, and when it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from storyteller.cli.app import run
from storyteller.evaluation import quantisation
from storyteller.evaluation.quantisation import Quality, compare, meets_bounds

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.network.native.engine import NativeEngine

TEXT = "The old man opened the door and looked at the sea. Nobody answered; the wind closed the door. " * 8


def test_float32_is_the_measure_and_fewer_bits_come_close(
    starter_model: Path, native: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storyteller.engine.writing.loaded.native_engine", lambda *_, **__: native)
    rows = {row.dtype: row for row in compare(starter_model, TEXT, dtypes=("bfloat16", "int8", "int4"))}
    exact = rows.pop("float32")
    assert (exact.bits, exact.agreement, exact.divergence, exact.worse) == (32.0, 1.0, 0.0, 0.0)
    assert [round(row.bits, 1) for row in rows.values()] == [16, 8.1, 4.5]
    assert rows["int8"].divergence < rows["int4"].divergence < 0.1
    assert rows["int8"].agreement > 0.9
    assert abs(rows["int8"].worse) < 0.02


def row(dtype: str, worse: float) -> Quality:
    return Quality(dtype=dtype, bits=4, megabytes=1, perplexity=1, agreement=1, divergence=0, worse=worse)


@pytest.mark.parametrize(
    ("dtype", "worse", "good"),
    [("int4", 0.019, True), ("int4", 0.021, False), ("int8", 0.004, True), ("int8", 0.006, False), ("bfloat16", 0.5, True)],
)  # fmt: skip
def test_the_bounds(dtype: str, worse: float, *, good: bool) -> None:
    assert meets_bounds([row("float32", 0.0), row(dtype, worse)]) is good


def test_the_command(starter_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    asked = ["eval", "quantisation", "--model", str(starter_model), "--text", str(text), "--dtype", "int8"]
    assert run([*asked, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [found["dtype"] for found in rows] == ["float32", "int8"]
    assert run(asked) == 0
    assert "perplexity" in capsys.readouterr().out


def test_a_bound_that_is_missed_is_exit_code_1(
    starter_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quantisation, "BOUNDS", {"int8": -1.0})
    assert run(["eval", "quantisation", "--model", str(starter_model), "--dtype", "int8", "--json"]) == 1
    assert capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--dtype", "int5"], ["--text", "/no/such/file"]])
def test_what_makes_no_sense_is_exit_code_2(
    arguments: list[str], starter_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "quantisation", "--model", str(starter_model), *arguments]) == 2
    assert capsys.readouterr().err


def test_a_text_without_words(
    starter_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("")
    asked = ["eval", "quantisation", "--model", str(starter_model), "--text", str(tmp_path / "empty.txt")]
    assert run(asked) == 2
    assert "fewer than two tokens" in capsys.readouterr().err
