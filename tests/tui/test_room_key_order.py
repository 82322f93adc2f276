"""Keys take effect in the order they were pressed, however fast they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.events import Key

from storyteller.engine.protocol import Generate
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
