"""The list of takes: of a place, of the whole text, and back onto the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import OptionList, Static

from storyteller.config import Settings
from storyteller.engine.fake import Reply
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.log import FeedbackLog
from storyteller.tui.lines import Line
from storyteller.tui.takes_screen import TakesScreen
from tests.stubs.open_braid import BEFORE, TEXTS, braided
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stubs.open_room import OpenRoom

SCRIPT = [Reply(texts=TEXTS), Reply(texts=(TEXTS[0],)), Reply(texts=(" Elsewhere.",))]


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text(BEFORE, encoding="utf-8")
    return path


async def listed(room: OpenRoom) -> TakesScreen:
    await room.press("f6")
    screen = await room.dialog(TakesScreen)
    assert isinstance(screen, TakesScreen)
    await room.until(lambda: screen.entries)
    await room.settle()
    return screen


def rows(screen: TakesScreen) -> list[str]:
    return [str(option.prompt) for option in screen.query_one(OptionList).options]


def whole(screen: TakesScreen) -> str:
    return str(screen.query_one("#whole Static", Static).content)


def line(screen: TakesScreen, name: str) -> str:
    return screen.query_one(f"#{name}", Line).text


async def test_the_takes_of_a_place_and_the_whole_of_the_newest(novel: Path) -> None:
    async with open_room(novel, script=SCRIPT) as room:
        await braided(room)
        await room.press("escape")
        screen = await listed(room)
        assert [entry.take.text for entry in screen.entries] == list(TEXTS)
        assert line(screen, "top").split() == ["Takes", "of", "this", "place", "3", "takes"]
        shown = rows(screen)
        assert shown[0].startswith(" 1  Then she put on her coat.\n    0.")
        assert "balanced" in shown[0]
        assert f"seed {screen.entries[0].take.seed}" in shown[0]
        assert "newest" in shown[2]
        assert screen.entry is not None
        assert screen.entry.number == 3
        assert whole(screen).startswith("She read it twice." + TEXTS[2])
        assert "take 3 of 3" in whole(screen)
        assert "offer it" in line(screen, "hints")


async def test_enter_offers_it_again_and_the_walk_goes_on_from_there(novel: Path) -> None:
    async with open_room(novel, script=SCRIPT) as room:
        await braided(room)
        await room.press("escape", "f6", "up", "enter")
        assert room.app.screen is room.room
        assert room.offered == TEXTS[1]
        assert "take 2 of 3" in room.line("status")
        await room.press("f7")
        assert room.offered == TEXTS[0]
        screen = await listed(room)
        assert screen.entry is not None
        assert screen.entry.number == 1
        await room.press("down", "enter", "tab")
        assert room.text == BEFORE + TEXTS[1]


async def test_without_any_take_there_is_a_sentence(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("f6")
        assert room.app.screen is room.room
        assert "no takes yet" in room.line("status")


async def test_a_place_without_takes_shows_those_of_the_text_and_enter_goes_there(novel: Path) -> None:
    async with open_room(novel, script=SCRIPT) as room:
        await braided(room)
        await room.press("escape", "ctrl+home", *"New. ")
        screen = await listed(room)
        assert line(screen, "top").startswith("Takes of novel.md")
        assert rows(screen)[0] == "line 3  …New. # One She read it twice."
        assert screen.entry is not None
        assert screen.entry.take.anchor == len("New. " + BEFORE)
        await room.press("enter", "tab")
        assert room.text == "New. " + BEFORE + TEXTS[2]


async def test_every_place_has_its_takes(novel: Path) -> None:
    async with open_room(novel, script=[*SCRIPT[:1], *SCRIPT[2:]]) as room:
        await braided(room)
        await room.press("1", "tab")
        await room.stream()
        screen = await listed(room)
        assert [entry.take.text for entry in screen.entries] == [" Elsewhere."]
        await room.press("a")
        assert [entry.take.text for entry in screen.entries] == [*TEXTS, " Elsewhere."]
        assert [row.split("\n")[0] for row in rows(screen)][
            4
        ] == "line 3  …it twice. Then she put on her coat."
        assert screen.entry is not None
        assert screen.entry.take.text == " Elsewhere."
        await room.press("home", "down", "enter")
        assert room.offered == TEXTS[1]
        assert room.room.page.settled_cursor == len(BEFORE)


async def test_a_take_that_grows_grows_in_the_list(novel: Path) -> None:
    async with open_room(novel, script=SCRIPT) as room:
        await room.press("ctrl+end", "tab")
        await room.stream(3)
        await room.until(lambda: room.offered)
        screen = await listed(room)
        assert "growing" in rows(screen)[0]
        assert TEXTS[0] not in whole(screen)
        await room.engine.step(1000)
        await room.until(lambda: TEXTS[0] in whole(screen))
        assert "growing" not in rows(screen)[0]
        await room.press("x")
        assert "on the page" in line(screen, "status")
        await room.press("escape")
        assert room.offered == TEXTS[0]


async def test_what_came_up_twice_is_listed_once(novel: Path) -> None:
    async with open_room(novel, script=SCRIPT) as room:
        await braided(room)
        await room.press("escape", "ctrl+r")
        await room.stream()
        screen = await listed(room)
        assert len(screen.entries) == 3
        assert "2 times" in rows(screen)[0]
        assert screen.entry is not None
        assert screen.entry.number == 1  # its twin is on the page


async def test_a_dropped_take_is_gone_and_can_be_brought_back(novel: Path) -> None:
    async with open_room(novel, script=SCRIPT) as room:
        await braided(room)
        await room.press("escape")
        screen = await listed(room)
        await room.press("a", "home", "delete")
        assert [entry.take.text for entry in screen.entries] == list(TEXTS[1:])
        assert screen.entry is not None
        assert screen.entry.take.text == TEXTS[1]
        assert "bring back" in line(screen, "hints")
        await room.press("u")
        assert {entry.take.text for entry in screen.entries} == set(TEXTS)
        await room.press("home", "x", "x", "x")
        assert not screen.entries
        assert "none here" in whole(screen)
        await room.press("enter", "escape", "f7")
        assert not room.offered


async def test_two_takes_are_held_against_each_other(novel: Path) -> None:
    script = [Reply(texts=(" Then she ran.", " Then he ran."))]
    settings = Settings(consent="no", braid_lanes=2)
    async with open_room(novel, script=script, settings=settings) as room:
        await braided(room)
        await room.press("escape")
        screen = await listed(room)
        await room.press("space", "up")
        assert whole(screen).count("ran.") == 2
        assert "= take 2" in whole(screen)
        content = screen.query_one("#whole Static", Static).content
        marked = [
            content.plain[span.start : span.end]  # type: ignore[union-attr]  # it was given a Content
            for span in content.spans  # type: ignore[union-attr]
            if "bold" in str(span.style)
        ]
        assert marked == ["she", "he"]
        assert rows(screen)[1].startswith(" 2= ")
        await room.press("down", "space")
        assert "= take" not in whole(screen)


async def test_a_take_is_copied(novel: Path) -> None:
    async with open_room(novel, script=SCRIPT) as room:
        await braided(room)
        await room.press("escape", "f6", "c")
        assert room.app.clipboard == TEXTS[2]


@pytest.mark.parametrize("size", [(160, 50), (80, 24), (40, 24), (30, 8)])
async def test_every_size_shows_rows_and_the_whole_take(novel: Path, size: tuple[int, int]) -> None:
    async with open_room(novel, script=SCRIPT, size=size) as room:
        await braided(room)
        await room.press("escape")
        screen = await listed(room)
        takes, preview = screen.query_one(OptionList).region, screen.query_one("#whole").region
        assert takes.height > 0
        assert preview.height > 0
        assert (preview.x > takes.x) == (size[0] >= 90)
        assert screen.region.contains_region(preview)
        assert "Enter" in line(screen, "hints")


async def test_hostile_takes_are_shown_as_text(novel: Path) -> None:  # safety 44, 78
    hostile = " [/red][@click=app.quit]x[/]\x1b]0;t\x07\u202e"
    async with open_room(novel, script=[Reply(texts=(hostile,))]) as room:
        await room.press("ctrl+end", "tab")
        await room.stream()
        screen = await listed(room)
        assert "[/red][@click=app.quit]x[/]" in rows(screen)[0]
        assert "[/red][@click=app.quit]x[/]" in whole(screen)
        await room.press("a")
        assert not set("".join([*rows(screen), whole(screen)])) & {"\x1b", "\x07", "\u202e"}


async def test_takes_come_back_with_their_document(novel: Path) -> None:
    log = FeedbackLog()
    log.set_consent(EVERYTHING, on=True)
    log.close()
    settings = Settings(consent="yes")
    async with open_room(novel, script=SCRIPT, settings=settings) as room:
        await braided(room)
        await room.press("escape", *" x", "ctrl+s")
        await room.until(lambda: not room.room.session.dirty)
        await room.press("left", "left")
        screen = await listed(room)
        await room.press("delete")
        assert len(screen.entries) == 2
    async with open_room(novel, settings=settings) as room:
        await room.until(lambda: len(room.room.prompter.tree))
        await room.press("ctrl+end", "left", "left")
        screen = await listed(room)
        assert [entry.take.text for entry in screen.entries] == list(TEXTS[:2])
        assert "an earlier session" in rows(screen)[0]
        assert "balanced" in rows(screen)[0]
        await room.press("home", "enter", "tab")
        assert room.text == BEFORE + TEXTS[0] + " x"
