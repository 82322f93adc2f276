"""Dialogs on small screens: what can be answered, and with which keys, is always in sight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from textual.widgets import Input, OptionList

from storyteller.config import Settings
from storyteller.engine.presets import shipped_presets
from storyteller.tui.acts import BY_ID
from storyteller.tui.dialogs.choice import Answer, Choice
from storyteller.tui.dialogs.compare import Compare, differences
from storyteller.tui.dialogs.entry import Entry
from storyteller.tui.dialogs.folder import FolderPicker
from storyteller.tui.dialogs.genre import GenrePicker
from storyteller.tui.dialogs.manner import MannerDialog
from storyteller.tui.dialogs.panel import Panel
from storyteller.tui.dialogs.picker import Picker, Row
from storyteller.tui.dialogs.reading import Reading
from storyteller.tui.dialogs.samplers import SamplersDialog
from storyteller.tui.dialogs.trouble import Trouble
from storyteller.tui.help import help_text
from storyteller.tui.mixing import Mix
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from storyteller.tui.dialogs.dialog import Dialog
    from storyteller.tui.manner import Manner
    from tests.stubs.open_room import OpenRoom

SIZES = [(80, 24), (40, 12)]
CHAPTER = "\n".join(f"Line {number}, and she read it twice." for number in range(80))


def compare(_: OpenRoom) -> Dialog[str]:
    return Compare(
        "novel.md is not what it was",
        "Since it was opened it was changed by another program.",
        [
            Answer("overwrite", "o", "overwrite it with the page"),
            Answer("reload", "r", "take what is on disk; what is on the page is given up"),
            Answer("save_as", "a", "save the page somewhere else"),
        ],
        rows=differences(CHAPTER, CHAPTER.replace("she", "he")),
        old_name="on disk",
        new_name="on the page",
        leave="leave both as they are",
    )


def recovery(_: OpenRoom) -> Dialog[str]:
    return Compare(
        "There is text of novel.md that was never saved",
        "From 28 November, 22:14. Its end is damaged: the last words may be missing.",
        [
            Answer("recover", "r", "recover it: it comes on the page, and is not saved until you do"),
            Answer("discard", "d", "throw it away"),
        ],
        rows=differences("", CHAPTER),
        old_name="in the file",
        new_name="never saved",
        leave="decide next time",
        unasked=True,
    )


def leaving(_: OpenRoom) -> Dialog[str]:
    answers = [
        Answer("save", "s", "save them"),
        Answer("discard", "d", "throw them away"),
        Answer("later", "k", "keep them for next time"),
    ]
    return Choice("novel.md has changes that are not saved", "", answers, leave="stay")


def entry(_: OpenRoom) -> Dialog[str]:
    return Entry("top p", text="A sentence about a setting that goes on for a while. " * 5, value="0.9")


def themes(_: OpenRoom) -> Dialog[str]:
    rows = [Row(str(number), f"theme {number}", "dark") for number in range(22)]
    return Picker("Theme", rows, picked="20")


def genres(_: OpenRoom) -> Dialog[str]:
    rows = [Row(str(number), f"genre {number}", "an adapter") for number in range(22)]
    return GenrePicker(rows, picked="20", mix=Mix([row.value for row in rows], []))


def manner(room: OpenRoom) -> Dialog[Manner]:
    return MannerDialog(room.room.manner, shipped_presets())


def samplers(room: OpenRoom) -> Dialog[Manner]:
    return SamplersDialog(room.room.manner)


def keys(room: OpenRoom) -> Dialog[None]:
    return Reading("storyteller", help_text(list(BY_ID.values()), room.room.keymap))


def trouble(_: OpenRoom) -> Dialog[None]:
    return Trouble("ValueError in a_module_with_a_long_name.py, line 120", kept=False)


def folder(_: OpenRoom) -> Dialog[Path]:
    return FolderPicker("Texts for stories", Path("/"))


def hidden(dialog: Dialog[Any]) -> list[str]:
    """What one answers with, or learns the keys from, and cannot see all of."""
    panel = dialog.query_one(Panel)
    assert dialog.region.contains_region(panel.region)
    inside = panel.region.shrink(panel.gutter)
    needed = [*dialog.query(".title"), *dialog.query(OptionList), *dialog.query(Input)]
    needed += list(dialog.query(".foot"))[-1:]
    return [
        str(widget)
        for widget in needed
        if not widget.content_size or not inside.contains_region(widget.region)
    ]


def in_sight(rows: OptionList) -> bool:
    """Whether the row under the cursor is."""
    option = rows.highlighted_option
    shown = [rows.render_line(y).text for y in range(rows.size.height)]
    return option is not None and any(str(option.prompt)[:9] in line for line in shown)


ALL: Final = (
    compare, recovery, leaving, entry, themes, genres, manner, samplers, keys, trouble, folder
)  # fmt: skip


async def opened(room: OpenRoom, dialog: Dialog[Any]) -> None:
    room.app.push_screen(dialog)
    await room.until(lambda: dialog.is_mounted and dialog.region.size == room.app.size)
    await room.settle()


@pytest.mark.parametrize("size", SIZES)
async def test_what_one_answers_with_is_in_sight(size: tuple[int, int]) -> None:
    """safety 30"""
    async with open_room(size=size) as room:
        for make in ALL:
            dialog = make(room)
            await opened(room, dialog)
            assert hidden(dialog) == [], make.__name__
            if isinstance(dialog, Choice):
                answers = dialog.query_one(OptionList)
                assert answers.size.height == answers.virtual_size.height, make.__name__
            await room.press("escape")


@pytest.mark.parametrize("size", SIZES)
async def test_the_question_of_the_first_run_is_in_sight(size: tuple[int, int]) -> None:
    async with open_room(size=size, settings=Settings(consent="ask"), opened=False) as room:
        question = await room.dialog(Choice)
        assert isinstance(question, Choice)
        await room.settle()
        assert hidden(question) == []
        answers = question.query_one(OptionList)
        assert answers.size.height == answers.virtual_size.height


@pytest.mark.parametrize("size", SIZES)
async def test_the_row_under_the_cursor_is_in_sight(size: tuple[int, int]) -> None:
    async with open_room(size=size) as room:
        for dialog in (themes(room), genres(room)):
            await opened(room, dialog)
            rows = dialog.query_one(OptionList)
            assert in_sight(rows)
            for _ in range(4):
                await room.press("down", "down", "down")
                assert in_sight(rows)
            await room.press("escape")


async def test_the_row_of_the_manner_that_moves_is_in_sight() -> None:
    async with open_room(size=(40, 12)) as room:
        await opened(room, shown := manner(room))
        for number in (1, 2, 3, 0):
            await room.press("down")
            row = shown.query(".row")[number]
            assert shown.query_one(".scroll").region.overlaps(row.region)
            assert "▸" in str(row.render())


async def test_the_differences_are_read_with_the_keyboard_where_they_do_not_fit() -> None:
    async with open_room(size=(80, 24)) as room:
        await opened(room, shown := compare(room))
        rows = shown.query_one(".scroll")
        await room.press("shift+tab", "pagedown")
        await room.until(lambda: rows.scroll_offset.y > 0)
