"""Offers that come by themselves, and the words of a day."""

from __future__ import annotations

from datetime import date

import pytest

from storyteller.tui.day import add_words, day_path, words_today
from storyteller.tui.pauses import Pauses, may_offer


def test_refusals_make_offers_rarer_and_a_kept_one_forgives() -> None:
    pauses = Pauses(0.8)
    for _ in range(4):
        pauses.refused(100.0)
    assert pauses.delay(100.0) == 0.8
    pauses.refused(100.0)
    assert pauses.delay(100.0) == 1.6
    for _ in range(5):
        pauses.refused(100.0)
    assert pauses.delay(100.0) == 30.0
    assert pauses.delay(129.0) == 1.6
    pauses.accepted()
    assert pauses.delay(131.0) == 0.8


@pytest.mark.parametrize(
    ("line", "may"), [("She rose", True), ("", False), ("   ", False), ("## Two", False)]
)
def test_no_offers_in_headings_or_before_anything_is_written(line: str, may: bool) -> None:
    assert may_offer(line) is may


def test_words_of_a_day_add_up_and_another_day_begins_at_none() -> None:
    monday, tuesday = date(2026, 3, 2), date(2026, 3, 3)
    add_words(100, lambda: monday)
    add_words(-30, lambda: monday)
    assert words_today(lambda: monday) == 70
    assert words_today(lambda: tuesday) == 0
    add_words(5, lambda: tuesday)
    assert words_today(lambda: tuesday) == 5
    assert day_path().stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"", b"{", b'{"date": 5}', b"\xff"])
def test_a_damaged_count_is_none(damage: bytes) -> None:
    add_words(5)
    day_path().write_bytes(damage)
    assert words_today() == 0
