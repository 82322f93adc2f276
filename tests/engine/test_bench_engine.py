"""The engine's bench: it measures what it says, and its verdict follows from the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from storyteller.bench.engine import Row, bench_engine, main, meets_bounds, print_table, prompt_ids
from storyteller.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

OURS = Row(
    who="storyteller",
    device="cpu",
    dtype="float32",
    context=900,
    takes=1,
    tokens_per_s=20.0,
    first_token_s=2.0,
    after_edit_s=0.1,
    bound_tokens_per_s=26.0,
)
PEER = Row(
    who="transformers",
    device="cpu",
    dtype="float32",
    context=900,
    takes=1,
    tokens_per_s=10.0,
    first_token_s=3.0,
)


def test_a_slower_peer_and_a_cheap_edit_meet_the_bounds() -> None:
    assert meets_bounds([OURS, PEER])
    assert not meets_bounds([OURS, msgspec.structs.replace(PEER, tokens_per_s=20.5)])
    assert not meets_bounds([msgspec.structs.replace(OURS, after_edit_s=0.21)])
    assert meets_bounds([msgspec.structs.replace(OURS, after_edit_s=0.21, context=256)])
    assert meets_bounds([OURS, msgspec.structs.replace(PEER, tokens_per_s=99.0, dtype="bfloat16")])


def test_the_table_holds_every_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table([OURS, PEER])
    printed = capsys.readouterr().out
    assert "storyteller float32" in printed
    assert "transformers float32" in printed
    assert "77%" in printed
    assert "0.100" in printed


def test_prompts_are_the_same_for_every_engine() -> None:
    assert prompt_ids(5, 100) == prompt_ids(5, 100)
    assert prompt_ids(5, 100) != prompt_ids(5, 100, seed=1)
    assert all(0 < token < 99 for token in prompt_ids(500, 100))


@pytest.mark.slow
def test_ours_and_a_peer_are_measured_in_processes_of_their_own(
    starter_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(
        bench_engine(
            starter_model,
            dtypes=["float32"],
            contexts=[64, 5000],
            takes=[1, 2],
            tokens=8,
            peers=["transformers"],
        )
    )
    assert [(row.who, row.context, row.takes) for row in rows] == [
        ("storyteller", 64, 1),
        ("storyteller", 64, 2),
        ("transformers", 64, 1),
    ]
    for row in rows:
        assert row.tokens_per_s > 0
        assert row.first_token_s > 0
        assert row.load_s > 0
        assert 0.1 < row.memory_gb < 10
        assert (row.who == "storyteller") == (row.after_edit_s is not None)


@pytest.mark.slow
def test_a_measuring_process_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Measuring storyteller in auto failed"):
        main(tmp_path)
