"""Leaving a page that is not saved: nothing goes that was to stay, and nothing is saved that was to go."""
# ruff: noqa: ASYNC240  a test looks at its files when it likes

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storyteller.config import Settings
from storyteller.manuscript.recovery import find_recoveries
from storyteller.tui.dialogs.choice import Choice
from storyteller.tui.dialogs.reading import Reading
from storyteller.tui.dialogs.trouble import Trouble
from tests.stubs.open_room import open_room
from tests.stubs.slow_disk import saves_wait

if TYPE_CHECKING:
    from pathlib import Path

OLD = "She read it twice.\n"


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text(OLD, encoding="utf-8")
    return path


@pytest.fixture
def no_journal(home: Path) -> None:
    """A file stands where the journals' folder should be."""
    (home / "state").mkdir(parents=True)
    (home / "state" / "journal").touch()


@pytest.mark.usefixtures("no_journal")
@pytest.mark.parametrize("key", ["ctrl+q", "ctrl+n"])
async def test_what_cannot_be_kept_for_next_time_is_not_left(novel: Path, key: str) -> None:
    """safety 23"""
    async with open_room(novel) as room:
        await room.press("x", key)
        await room.dialog(Choice)
        await room.press("k")
        await room.until(lambda: "cannot be kept" in room.line("status"))
        assert room.text == f"x{OLD}"
        assert not room.room.keep_on_leaving
        await room.press("ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    assert novel.read_text(encoding="utf-8") == f"x{OLD}"


@pytest.mark.usefixtures("no_journal")
async def test_what_cannot_be_kept_can_be_kept_once_it_can(novel: Path, home: Path) -> None:
    """safety 7, 23"""
    async with open_room(novel) as room:
        await room.press("x", "ctrl+q")
        await room.dialog(Choice)
        await room.press("k")
        await room.until(lambda: "cannot be kept" in room.line("status"))
        (home / "state" / "journal").unlink()
        await room.press("ctrl+q")
        await room.dialog(Choice)
        await room.press("k")
        assert await room.ended() == 0
    (recovery,) = find_recoveries(novel)
    assert recovery.text == f"x{OLD}"


@pytest.mark.usefixtures("no_journal")
async def test_a_fault_promises_no_recovery_that_there_cannot_be(novel: Path) -> None:
    """safety 23, 35"""

    async def broken() -> None:
        raise ValueError("broken")

    async with open_room(novel) as room:
        await room.press("x")
        room.room.background(broken(), "acts")
        trouble = await room.dialog(Trouble)
        shown = "\n".join(str(widget.render()) for widget in trouble.query("Static"))
        assert "kept for recovery" not in shown
        assert "Save it" in shown


async def test_nothing_is_saved_by_itself_behind_a_question(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("x", "ctrl+q")
        await room.dialog(Choice)
        room.app.settings = Settings(consent="no", autosave_s=0.05)
        room.room.page.write(0, 0, "y")
        await room.pilot.pause(0.3)
        assert novel.read_text(encoding="utf-8") == OLD
        await room.press("d")
        assert await room.ended() == 0
    assert novel.read_text(encoding="utf-8") == OLD


async def test_what_waited_behind_a_dialog_is_saved_by_itself_afterwards(novel: Path) -> None:
    settings = Settings(consent="no", autosave_s=0.05)
    async with open_room(novel, settings=settings) as room:
        await room.press("f1")
        await room.dialog(Reading)
        room.room.page.write(0, 0, "x")
        await room.pilot.pause(0.3)
        assert novel.read_text(encoding="utf-8") == OLD
        await room.press("escape")
        await room.until(lambda: novel.read_text(encoding="utf-8") == f"x{OLD}")


async def test_what_is_typed_while_the_last_save_is_written_is_asked_for(
    novel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_room(novel) as room:
        disk = saves_wait(monkeypatch)
        await room.press("x", "ctrl+q")
        await room.dialog(Choice)
        await room.press("s", "y")
        assert room.text == f"xy{OLD}"
        disk.set()
        await room.dialog(Choice)
        assert novel.read_text(encoding="utf-8") == f"x{OLD}"
        await room.press("s")
        assert await room.ended() == 0
    assert novel.read_text(encoding="utf-8") == f"xy{OLD}"
