"""Offers that come by themselves, and the words of a day."""
# ruff: noqa: ASYNC240  a test looks at its files when it likes

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from storyteller.tui.day import Tally, add_words, day_path, words_today
from storyteller.tui.dialogs.choice import Choice
from storyteller.tui.dialogs.compare import Compare
from storyteller.tui.pauses import Pauses, may_offer
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.\n", encoding="utf-8")
    return path


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


def test_the_tally_begins_anew_with_the_day() -> None:
    days = [date(2026, 3, 2)]
    tally = Tally(100, lambda: days[-1])
    assert tally.total(107) == 7
    tally.count(107)
    assert tally.total(110) == 10
    days.append(date(2026, 3, 3))
    assert tally.total(110) == 3
    tally.count(110)
    assert tally.total(111) == 4
    assert words_today(lambda: days[-1]) == 3


def test_what_nobody_wrote_here_is_not_tallied() -> None:
    tally = Tally(100)
    tally.pass_over(5_000)
    assert tally.total(5_002) == 2


async def test_words_kept_for_next_time_count_when_they_are_saved(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+end", *"one", "space", *"two", "ctrl+q")
        await room.dialog(Choice)
        await room.press("k")
        await room.ended()
    assert words_today() == 0
    async with open_room(novel, opened=False) as room:
        await room.dialog(Compare)
        await room.press("r")
        await room.until(lambda: "one two" in room.text)
        await room.until(lambda: "+2 today" in room.line("top"))
        await room.press("ctrl+s")
        await room.until(lambda: words_today() == 2)
    assert words_today() == 2


async def test_words_thrown_away_are_not_counted(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+end", *"one", "ctrl+s")
        await room.until(lambda: words_today() == 1)
        await room.press("space", *"two", "ctrl+q")
        await room.dialog(Choice)
        await room.press("d")
        await room.ended()
    assert words_today() == 1


async def test_words_of_another_program_are_not_the_writers(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("x")
        novel.write_text("Another program was here and wrote a lot.\n", encoding="utf-8")
        await room.press("ctrl+s")
        await room.dialog(Compare)
        await room.press("r")
        await room.until(lambda: room.text.startswith("Another"))
        await room.until(lambda: "today" not in room.line("top"))
        await room.press("ctrl+end", *"mine", "ctrl+s")
        await room.until(lambda: words_today() == 1)
    assert words_today() == 1
