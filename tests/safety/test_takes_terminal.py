"""What a model, a manuscript and a file name hold goes through the braid and the list of takes as plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.stubs.pty_room import PtyRoom

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

HOSTILE = " [/red][@click=app.quit]x[/]\x1b]0;taken\x07\x1b]52;c;dGFrZW4=\x07\x9b31m\u202e end."
RAW = (b"\x1b]0;taken", b"\x1b]52", b"\x07", "\x9b".encode(), "\u202e".encode(), b"\x1b[31mred")

POINTER = rb"\x1b\]22;[a-z-]+\x07"  # Textual's own word for the shape of the mouse pointer


@pytest.mark.parametrize("columns", [100, 40])
def test_nothing_raw_reaches_the_terminal_from_braid_or_list(tmp_path: Path, columns: int) -> None:
    """safety 44, 45, 78"""
    novel = tmp_path / "[b]novel[@click=app.quit].md"
    novel.write_text("She [/b]read\x1b[31mred it \x1b]0;taken\x07.\n", encoding="utf-8")
    with PtyRoom(novel, "--text", HOSTILE, columns=columns) as room:
        room.wait_for("write on")
        room.send("\x1b[1;5F\x14")  # Ctrl+End, Ctrl+T
        room.wait_for(" · new")
        room.wait_for("[/red][@click=app.quit]x[/]")
        room.send("\x1b[A\x1b[A")
        room.send("\x1b")
        room.wait_for("write on")
        room.wait_for(lambda: not room.read(0.3))
        room.send("\x1b[17~")  # F6
        room.wait_for("Takes of this place")
        room.send("a")
        room.wait_for("Takes of [b]novel")
        room.send("\r")
        room.wait_for("keep")
        room.send("\t")
        room.wait_for("Kept")
        written = re.sub(POINTER, b"", room.raw)
        assert not [raw for raw in RAW if raw in written]
