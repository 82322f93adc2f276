"""A folder of texts is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, Static

from storyteller.tui.dialogs.folder import FolderPicker, TextsTree
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stubs.open_room import OpenRoom


@pytest.fixture
def home_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    for name in ("poems", "prose", "[red]odd\x1b"):
        (folder / name).mkdir(parents=True)
    (folder / "poems" / "one.txt").write_text("The moon.", encoding="utf-8")
    (folder / "notes.md").write_text("x", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"x")
    (folder / ".hidden.txt").write_text("x", encoding="utf-8")
    return folder


async def choosing(room: OpenRoom, folder: Path) -> tuple[FolderPicker, list[Path | None]]:
    """The dialog, and where its answer comes."""
    answers: list[Path | None] = []
    dialog = FolderPicker("Texts", folder)
    room.app.push_screen(dialog, answers.append)
    await room.until(lambda: listed(dialog))
    return dialog, answers


def listed(dialog: FolderPicker) -> list[str]:
    if not dialog.is_mounted:
        return []
    return [str(node.label) for node in dialog.query_one(TextsTree).root.children]


async def test_folders_and_texts_are_listed_and_nothing_else(home_folder: Path) -> None:  # safety 44
    async with open_room() as room:
        dialog, _ = await choosing(room, home_folder)
        assert listed(dialog) == ["[red]odd␛", "poems", "prose", "notes.md"]
        assert dialog.query_one(Input).value == f"{home_folder}/"


async def test_typing_narrows_and_enter_takes_the_path(home_folder: Path) -> None:
    async with open_room() as room:
        dialog, answers = await choosing(room, home_folder)
        await room.press("p", "o")
        await room.until(lambda: listed(dialog) == ["poems"])
        await room.press(*"ems", "enter")
        assert answers == [home_folder / "poems"]


async def test_a_path_that_is_not_there_is_said(home_folder: Path) -> None:
    async with open_room() as room:
        dialog, answers = await choosing(room, home_folder)
        await room.press(*"nowhere", "enter")
        assert "cannot be read" in str(dialog.query_one(".alarm", Static).content)
        assert answers == []
        await room.press("escape")
        assert answers == [None]


async def test_the_list_is_walked_and_opened_with_arrows(home_folder: Path) -> None:
    async with open_room() as room:
        dialog, answers = await choosing(room, home_folder)
        tree = dialog.query_one(TextsTree)
        await room.press("down", "down", "down", "right")
        await room.until(lambda: tree.cursor_node is not None and tree.cursor_node.children)
        await room.press("down")
        assert dialog.query_one(Input).value == str(home_folder / "poems" / "one.txt")
        await room.press("enter")
        await room.until(lambda: answers)
        assert answers == [home_folder / "poems" / "one.txt"]
