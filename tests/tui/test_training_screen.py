"""The training screen, with a run that is a script."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
from textual.widgets import OptionList, Static

from storyteller.training.corpus import shelf
from storyteller.training.run_folder import RunFolder
from storyteller.tui.lines import Line
from storyteller.tui.training.screen import TrainingScreen
from tests.stubs.open_room import open_room
from tests.stubs.train_run import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stubs.open_room import OpenRoom

COMMAND = (sys.executable, "-m", "tests.stubs.train_run")
CONTROLS = {"\x1b", "\x07", "\u202e"}


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.", encoding="utf-8")
    return path


@pytest.fixture
def poems(tmp_path: Path) -> Path:
    folder = tmp_path / "poems"
    folder.mkdir()
    (folder / "one.txt").write_text("The moon is up.", encoding="utf-8")
    shelf.add("stories", [folder])
    return folder


async def training(room: OpenRoom) -> TrainingScreen:
    """The screen, from the room."""
    room.app.training.command = COMMAND
    room.app.training.poll_s = 0.01
    await room.press("ctrl+b")
    screen = await room.dialog(TrainingScreen)
    assert isinstance(screen, TrainingScreen)
    return screen


async def long(room: OpenRoom, seen: Callable[[], object]) -> None:
    """Until `seen`, which takes the start of a process."""
    async with asyncio.timeout(30):
        while not seen():
            await asyncio.sleep(0.01)  # a process has no event for it
            await room.settle()


def line(screen: TrainingScreen, name: str) -> str:
    return screen.query_one(f"#{name}", Line).text


def plan(screen: TrainingScreen) -> str:
    return str(screen.query_one("#plan", Static).content)


def samples(screen: TrainingScreen) -> str:
    return str(screen.query_one("#samples Static", Static).content)


async def test_a_run_from_the_plan_to_the_adapter(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:12")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        assert "rank 16" in plan(screen)
        assert "25 min" in plan(screen)
        assert "Eleven texts" in plan(screen)
        assert "This takes a while." in plan(screen)
        assert str(poems) in str(screen.query_one("#sources", OptionList).options[0].prompt)
        await room.press("enter")
        await long(room, lambda: screen.phase == "over")
        assert line(screen, "top").startswith("stories ← 412 texts, 96 k tokens, 21 held out")
        assert "base 61.8 → 30.2" in line(screen, "figures")
        assert "best at 12" in line(screen, "figures")
        assert "stories v0001 is learned" in line(screen, "standing")
        assert samples(screen).startswith("step 12")
        await room.press("escape")
        assert room.app.notices[-1] == "stories learned: Tab writes with it."
