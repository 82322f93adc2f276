"""A card goes to disk and comes back; what is no card is none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from storyteller.training.adapters.card import CARD, card_json, read_card, readme
from tests.stubs.adapter_cards import make_card

if TYPE_CHECKING:
    from pathlib import Path


def test_a_card_comes_back(tmp_path: Path) -> None:
    for card in (make_card(), make_card(parents={"verse/v0001": 0.5}, notes=("Mixed.",), train_loss=None)):
        (tmp_path / CARD).write_bytes(card_json(card))
        assert read_card(tmp_path) == card


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        card_json(make_card()).replace(b"40.0", b"NaN"),
        card_json(make_card()).replace(b"40.0", b"1e999"),
        card_json(make_card()).replace(b"61.5", b'"soon"'),
        card_json(make_card()).replace(b'"parents": {}', b'"parents": ["noir"]'),
        card_json(make_card()) + b" " * 1_000_000,
    ],
    ids=range(10),
)
def test_what_is_no_card_is_none_safety_74(tmp_path: Path, content: bytes) -> None:  # safety 74
    (tmp_path / CARD).write_bytes(content)
    assert read_card(tmp_path) is None


def test_no_card_and_no_file_are_none(tmp_path: Path) -> None:
    assert read_card(tmp_path) is None
    os.mkfifo(tmp_path / CARD)
    assert read_card(tmp_path) is None


def test_the_readme_says_what_the_card_says() -> None:
    text = readme(make_card())
    assert "40.00 without it, 30.00 with it (-25.0%)" in text
    assert "90 steps of 8 sequences of 256" in text
    card = make_card()
    assert f"storyteller continue --model {card.base} --genre {card.genre} --adapter noir draft.md" in text
    mixed = readme(make_card(parents={"noir/v0001": 0.8, "verse/v0002": 0.3}, perplexity_base=None, steps=0))
    assert "0.8 of noir/v0001 + 0.3 of verse/v0002" in mixed
    assert "Perplexity" not in mixed


def test_nothing_in_a_card_steers_a_terminal_or_breaks_the_page() -> None:
    text = readme(make_card(base="\x1b]8;;evil\x07|x\n# heading", notes=("a\x1b[2J\nb",)))
    assert "\x1b" not in text
    assert "\n# heading" not in text


def test_json_holds_every_field() -> None:
    assert set(msgspec.json.decode(card_json(make_card()))) == set(make_card().__struct_fields__)
