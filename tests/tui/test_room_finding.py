"""The find line beside the page: whose keys are named, how it goes, and what comes back when it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storyteller.tui.findbar import FindBar
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stubs.open_room import OpenRoom


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text(
        "# The Second Letter\n\nThe lamp had burned low. The letter lay there.\n", encoding="utf-8"
    )
    return path


def is_open(room: OpenRoom) -> bool:
    """Whether the find line is."""
    return room.room.query_one(FindBar).display


async def test_the_keys_named_are_those_of_the_page_while_one_writes_there(novel: Path) -> None:
    async with open_room(novel, script=[" x"]) as room:
        await room.press("ctrl+f", *"letter")
        assert "Enter next" in room.line("hints")
        await room.pilot.click("#page")
        await room.until(lambda: "Tab write on" in room.line("hints"))
        assert "Enter next" not in room.line("hints")
        assert is_open(room)
        await room.press("tab")
        await room.stream()
        assert "Tab keep" in room.line("hints")
        await room.pilot.click("#find-text")
        await room.until(lambda: "Enter next" in room.line("hints"))


async def test_escape_on_the_page_refuses_first_and_then_closes_the_find_line(novel: Path) -> None:
    async with open_room(novel, script=[" x"]) as room:
        await room.press("ctrl+f", *"letter")
        await room.until(lambda: room.room.page.match_count == 2)
        await room.pilot.click("#page")
        await room.press("tab")
        await room.stream()
        await room.press("escape")
        assert not room.offered
        assert is_open(room)
        await room.press("escape")
        assert not is_open(room)
        assert room.room.page.match_count == 0
        assert room.room.page.has_focus


async def test_focus_mode_comes_back_when_the_find_line_goes(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("f11", "ctrl+f", "f4")
        assert not room.room.has_class("-focus")
        await room.press("escape")
        assert room.room.has_class("-focus")
        assert room.room.page.spotlight
        await room.press("f11", "ctrl+f", "escape")
        assert not room.room.has_class("-focus")
