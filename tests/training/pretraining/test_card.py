"""A model's card says in words what its record says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from storyteller.training.pretraining.card import (
    README,
    RECORD,
    Record,
    is_written_by_hand,
    readme,
    record_json,
)
from storyteller.training.pretraining.events import GenreTokens, Measured
from tests.stubs.tiny_pretraining import make_recipe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def record() -> Record:
    verse = GenreTokens(
        genre="verse", documents=1234, tokens=56789, bytes=200_000, held_out_documents=31, held_out_tokens=900
    )
    curve = [
        Measured(step=step, tokens=step * 100_000, bits_per_byte={"verse": 4 - step / 40})
        for step in range(41)
    ]
    return Record(
        recipe=make_recipe(),
        start=None,
        parameters=12_649_600,
        vocabulary=8192,
        texts="0",
        genres=(verse,),
        step=40,
        tokens=4_000_000,
        seconds=600.0,
        curve=tuple(curve),
        bits_per_byte={"verse": 2.9876},
    )


def test_the_card_has_the_figures(record: Record) -> None:
    card = readme(record)
    assert "A GPT-2 of 12.6 million parameters" in card
    assert "Trained from nothing" in card
    assert "| 2.9876 |" in card
    assert "| verse | verses | 1,234 | 0.06 | 1 | 31 |" in card
    assert "4,000,000 tokens in 40 steps of 128, 10 minutes" in card


def test_a_long_curve_is_shown_by_few_points_and_its_end(record: Record) -> None:
    rows = [line for line in readme(record).splitlines() if line.startswith("| ") and line.count("|") == 3]
    points = [line for line in rows if line.endswith("0 |") and "." in line.split("|")[1]]
    assert points[-1] == "| 4.0 | 3.0000 |"
    assert 8 <= len(points) <= 16


def test_a_start_is_named(record: Record) -> None:
    assert "on from the weights of `old`" in readme(msgspec.structs.replace(record, start="old"))


def test_a_card_is_written_by_hand_where_it_is_not_the_record_s(record: Record, tmp_path: Path) -> None:
    assert not is_written_by_hand(tmp_path)
    (tmp_path / README).write_text(readme(record))
    assert is_written_by_hand(tmp_path)  # nothing says that we wrote it
    (tmp_path / RECORD).write_bytes(record_json(record))
    assert not is_written_by_hand(tmp_path)
    (tmp_path / RECORD).write_bytes(b"{}")
    assert is_written_by_hand(tmp_path)
