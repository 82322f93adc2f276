"""Keys pressed faster than the room goes: nothing breaks, nothing is answered that was not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storyteller.config import Settings
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.recovery import find_recoveries
from storyteller.tui.dialogs.choice import Choice
from storyteller.tui.dialogs.compare import Compare
from storyteller.tui.dialogs.reading import Reading
from tests.stubs.open_room import open_room
from tests.stubs.slow_disk import saves_wait

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def unsaved(tmp_path: Path) -> Path:
    """A document with text that was never saved."""
    path = tmp_path / "novel.md"
    journal = Journal.open(path, "", None)
    journal.update("Never saved.", (0, 12))
    journal.flush(5)
    journal.close(discard=False)
    return path


async def test_two_answers_in_one_breath_are_one_answer(unsaved: Path) -> None:
    async with open_room(unsaved, opened=False) as room:
        compare = await room.dialog(Compare)
        compare.dismiss("recover")
        compare.dismiss("discard")
        await room.until(lambda: room.text == "Never saved.")
        assert room.app.is_running


async def test_what_is_typed_when_a_question_comes_by_itself_is_no_answer(unsaved: Path) -> None:
    async with open_room(unsaved, opened=False, first_moment_s=60.0) as room:
        await room.dialog(Compare)
        await room.press("d", "r", "enter")
        assert isinstance(room.app.screen, Compare)
        assert len(find_recoveries(unsaved)) == 1


async def test_a_sentence_typed_at_a_question_is_no_answer_either(unsaved: Path) -> None:
    async with open_room(unsaved, opened=False) as room:
        await room.dialog(Compare)
        Choice.FIRST_MOMENT_S = 60.0  # the first moment is over; what counts is what follows a letter
        await room.press(*"It was a dark night.")
        assert isinstance(room.app.screen, Compare)
        assert len(find_recoveries(unsaved)) == 1


async def test_nobody_agrees_by_typing_on() -> None:
    async with open_room(None, opened=False, settings=Settings(), first_moment_s=60.0) as room:
        await room.dialog(Choice)
        await room.press("y", "enter")
        assert isinstance(room.app.screen, Choice)
        assert room.app.settings.consent == "ask"


async def test_quitting_right_behind_a_save_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    novel = tmp_path / "novel.md"
    novel.write_text("Old.", encoding="utf-8")
    async with open_room(novel) as room:
        disk = saves_wait(monkeypatch)
        await room.press("x", "ctrl+s", "ctrl+q")
        assert not isinstance(room.app.screen, Choice), "a save is under way: there is nothing to ask"
        disk.set()
        assert await room.ended() == 0
    assert novel.read_text(encoding="utf-8") == "xOld."


async def test_quitting_twice_asks_once() -> None:
    async with open_room(None) as room:
        await room.press("x")
        room.room.act("app.quit")
        room.room.act("app.quit")
        await room.dialog(Choice)
        await room.press("escape")
        assert room.app.screen is room.room


async def test_quit_is_heard_in_a_dialog() -> None:
    async with open_room(None) as room:
        await room.press("f1")
        await room.dialog(Reading)
        await room.press("ctrl+q")
        assert await room.ended() == 0


async def test_quit_on_the_first_question_leaves_it_open() -> None:
    async with open_room(None, opened=False, settings=Settings()) as room:
        await room.dialog(Choice)
        await room.press("ctrl+q")
        assert await room.ended() == 0
        assert room.app.settings.consent == "ask"
