"""Keys take effect in the order they were pressed, however fast they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.events import AppBlur, Key, Paste

from storyteller.engine.protocol import Generate
from storyteller.tui.dialogs.manner import MannerDialog
from tests.stubs.open_room import OpenRoom, open_room

if TYPE_CHECKING:
    from pathlib import Path


def burst(room: OpenRoom, *keys: tuple[str, str | None]) -> None:
    """Keys as one read of the terminal brings them: nothing happens in between."""
    for key, character in keys:
        room.app.post_message(Key(key, character))


def asked_after(room: OpenRoom) -> str:
    """The text that the engine was asked to continue."""
    request = room.engine.received[-1]
    assert isinstance(request, Generate)
    return request.context.text


def typed(text: str) -> list[tuple[str, str | None]]:
    return [("space" if letter == " " else letter, letter) for letter in text]


async def test_tab_right_behind_a_word_asks_after_the_word() -> None:
    async with open_room(script=[" and went."]) as room:
        burst(room, *typed("She rose"), ("tab", "\t"))
        await room.until(lambda: room.room.prompter.asking)
        assert asked_after(room) == "She rose"


async def test_tab_right_behind_a_movement_asks_where_the_caret_came_to(tmp_path: Path) -> None:
    story = tmp_path / "story.md"
    story.write_text("First.\n\nLast")
    async with open_room(story, script=[" and went."]) as room:
        burst(room, ("ctrl+end", None), ("tab", "\t"))
        await room.until(lambda: room.room.prompter.asking)
        assert asked_after(room) == "First.\n\nLast"


async def test_tab_right_behind_another_letter_asks_anew_and_accepts_nothing() -> None:
    async with open_room(script=[" and went."]) as room:
        await room.press("a", "tab")
        await room.stream()
        burst(room, ("x", "x"), ("tab", "\t"))
        await room.until(lambda: room.room.prompter.asking)
        assert room.text == "ax"


async def test_letters_right_behind_a_movement_come_where_the_caret_went(tmp_path: Path) -> None:
    story = tmp_path / "story.md"
    story.write_text("First.\n\nLast", encoding="utf-8")
    async with open_room(story) as room:
        burst(
            room,
            ("ctrl+end", None),
            *typed(" words"),
            ("left", None),
            *typed("x"),
            ("home", None),
            *typed("y"),
        )
        await room.until(lambda: "y" in room.text)
        assert room.text == "First.\n\nyLast wordxs"


async def test_what_is_mistyped_and_mended_in_one_breath_is_mended() -> None:
    async with open_room() as room:
        mend = [("backspace", "\x7f")] * 2
        burst(room, *typed("teh"), *mend, *typed("he lamp"), ("enter", "\r"), *typed("b"), ("ctrl+z", None))
        await room.until(lambda: "\n" in room.text)
        assert room.text.startswith("the lamp\n")


async def test_letters_right_behind_a_kept_word_follow_it() -> None:
    async with open_room(script=[" and went."]) as room:
        await room.press("a", "tab")
        await room.stream()
        burst(room, ("ctrl+right", None), *typed("!"))
        await room.until(lambda: "!" in room.text)
        assert room.text == "a and!"


async def test_keys_of_a_list_keep_their_order_too() -> None:
    async with open_room() as room:
        await room.press("f5")
        dialog = await room.dialog(MannerDialog)
        assert isinstance(dialog, MannerDialog)
        before = dialog.manner.randomness
        burst(room, ("down", None), ("right", None), ("enter", "\r"))
        await room.until(lambda: room.app.screen is room.room)
        assert room.room.manner.randomness > before


@pytest.mark.parametrize("size", [(1, 10), (80, 3)])
@pytest.mark.parametrize("opens", ["ctrl+q", "ctrl+p"])
async def test_keys_of_a_list_that_has_no_room_do_nothing(size: tuple[int, int], opens: str) -> None:
    # safety 30
    async with open_room() as room:
        await room.press("x", opens)
        await room.until(lambda: room.app.screen is not room.room)
        await room.pilot.resize_terminal(*size)
        await room.press("pagedown", "down", "pageup", "end", "home", "escape")
        await room.until(lambda: room.app.screen is room.room)
        assert room.text == "x"


async def test_what_is_pasted_into_a_window_without_the_focus_arrives() -> None:
    async with open_room() as room:
        room.app.post_message(AppBlur())
        room.app.post_message(Paste("from elsewhere"))
        await room.until(lambda: room.text == "from elsewhere")
