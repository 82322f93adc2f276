"""What every screen over the room does alike: what was said can be read there, and the program left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from storyteller.tui.braid import Braid
from storyteller.tui.dialogs.choice import Choice
from storyteller.tui.dialogs.reading import Reading
from storyteller.tui.takes_screen import TakesScreen
from storyteller.tui.training.screen import TrainingScreen
from storyteller.tui.training.trial import TrialScreen, trial_of
from tests.stubs.open_room import OpenRoom, open_room

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.tui.over import OverRoom

SCREENS = [("ctrl+t", Braid), ("f6", TakesScreen), ("ctrl+b", TrainingScreen)]


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.", encoding="utf-8")
    return path


async def trial(room: OpenRoom) -> None:
    """Base and adapter beside each other, over the training screen."""
    await room.press("ctrl+b")
    await room.dialog(TrainingScreen)
    room.app.push_screen(TrialScreen(room.room, trial_of(room.room, "stories", "")))
    await room.dialog(TrialScreen)


@pytest.mark.parametrize(("key", "kind"), SCREENS)
async def test_a_notice_that_was_cut_can_be_read_there(
    novel: Path, key: str, kind: type[OverRoom[Any]]
) -> None:
    async with open_room(novel, script=[" And left."] * 8) as room:
        if kind is TakesScreen:
            await room.press("ctrl+end", "tab")
            await room.stream()
        await room.press(key)
        await room.dialog(kind)
        room.room.say("A sentence that goes on and on, " * 10)
        await room.press("f10")
        reading = await room.dialog(Reading)
        assert "on and on" in " ".join(str(widget.render()) for widget in reading.query("Static"))
        await room.press("escape")
        assert isinstance(room.app.screen, kind)


@pytest.mark.parametrize(("key", "kind"), SCREENS)
async def test_the_program_can_be_left_from_there(novel: Path, key: str, kind: type[OverRoom[Any]]) -> None:
    async with open_room(novel, script=[" And left."] * 8) as room:
        if kind is TakesScreen:
            await room.press("ctrl+end", "tab")
            await room.stream()
            await room.press("escape")
        await room.press(key)
        await room.dialog(kind)
        await room.pilot.press("ctrl+q")
        assert await room.ended() == 0


async def test_the_program_can_be_left_from_two_screens_and_a_dialog_up(novel: Path) -> None:
    async with open_room(novel, script=[" And left."] * 8) as room:
        await room.press("x")
        await trial(room)
        await room.press("f1")
        await room.dialog(Reading)
        await room.press("ctrl+q")
        question = await room.dialog(Choice)
        assert room.app.screen_stack[-2:] == [room.room, question]
        await room.press("escape")
        assert room.app.screen is room.room
