"""Lists that are narrowed by typing: a row is lit whenever there is one, and Enter is named only where it picks."""

from __future__ import annotations

import pytest
from textual.widgets import OptionList, Static

from storyteller.tui.dialogs.genre import GenrePicker
from storyteller.tui.dialogs.picker import Picker, Row
from storyteller.tui.mixing import Mix
from tests.stubs.open_room import OpenRoom, open_room

ROWS = [Row("lamplight", "lamplight"), Row("paper", "paper"), Row("dusk", "dusk")]


def picker() -> Picker:
    return Picker("Theme", ROWS, picked="paper")


def genres() -> Picker:
    return GenrePicker(ROWS, picked="paper", mix=Mix([], []))


async def shown(room: OpenRoom, dialog: Picker) -> list[str | None]:
    """Where the answer of the dialog comes, which is open."""
    answers: list[str | None] = []
    room.app.push_screen(dialog, answers.append)
    await room.until(lambda: dialog.is_mounted and dialog.query_one(OptionList).highlighted == 1)
    return answers


def said(dialog: Picker) -> str:
    """What it says of its keys."""
    return " ".join(str(widget.render()) for widget in dialog.query(".foot, #mix").results(Static))


@pytest.mark.parametrize("make", [picker, genres])
async def test_the_row_that_was_lit_is_lit_again_when_the_line_is_emptied(make: object) -> None:
    async with open_room() as room:
        dialog = genres() if make is genres else picker()
        answers = await shown(room, dialog)
        await room.press("d", "u", "backspace", "backspace")
        assert "Enter" in said(dialog)
        await room.press("enter")
        assert answers == ["dusk"]


@pytest.mark.parametrize("make", [picker, genres])
async def test_enter_is_not_named_where_nothing_is_called_so(make: object) -> None:
    async with open_room() as room:
        dialog = genres() if make is genres else picker()
        answers = await shown(room, dialog)
        await room.press("z", "z", "enter")
        assert "Enter" not in said(dialog)
        assert answers == []
        await room.press("backspace", "backspace")
        assert "Enter" in said(dialog)
        await room.press("enter")
        assert answers == ["paper"]
