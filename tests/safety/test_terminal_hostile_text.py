"""Nothing in a file, its name, a model's output, a setting or a fault reaches the terminal as a command or as markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storyteller.config import config_path
from tests.stubs.pty_room import PtyRoom

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CLIPBOARD = "\x1b]52;c;aG9zdGlsZQ==\x07"
TITLE = "\x1b]0;HOSTILE-TITLE\x07"
C1 = "\x9b31mC1"
MARKUP = "[/red][@click=app.quit]PRESS[/]"
BIDI = "\u202eREVERSED\u2066"
HOSTILE = f"{CLIPBOARD}{TITLE}{C1}{MARKUP}{BIDI}\x07RING\x00NUL"


def nothing_raw(room: PtyRoom) -> bool:
    for sequence in ("\x1b]52;c;aG9z", "\x1b]0;HOSTILE", "\x9b31m", "\u202e", "\u2066", "\x07RING", "\x00"):
        assert sequence.encode() not in room.raw, repr(sequence)
    return True


def test_a_hostile_manuscript_with_a_hostile_name(tmp_path: Path) -> None:
    """safety 16, 78"""
    novel = tmp_path / f"{MARKUP.replace('/', '∕')}{CLIPBOARD}{BIDI}.md"
    novel.write_text(f"# {HOSTILE}\n\nOnce {HOSTILE} upon a time.\n", encoding="utf-8")
    with PtyRoom(novel) as room:
        room.wait_for("upon a time.")
        room.wait_for("write on")
        room.wait_for("PRESS")
        room.send("\x1b[1;5F\x13")  # to the end, and the heading is in the top line
        room.wait_for("Saved")
        room.send("x\x11")  # a change, and quit: the name is in the question
        room.wait_for("has changes that are not saved")
        room.send("d")
        assert room.wait_for_end() == 0
        assert nothing_raw(room)


def test_a_hostile_model(tmp_path: Path) -> None:
    """safety 44, 45, 78"""
    novel = tmp_path / "novel.md"
    novel.write_text("Once.", encoding="utf-8")
    with PtyRoom(novel, "--text", f" Then {HOSTILE.replace(chr(0), '')} they left.") as room:
        room.wait_for("write on")
        room.send("\x1b[1;5F\t")
        room.wait_for("they left.")
        room.wait_for("PRESS")
        room.send("\t")
        room.wait_for("Kept")
        room.send("\x13")
        room.wait_for("Saved")
        assert nothing_raw(room)
    kept = novel.read_text(encoding="utf-8")
    assert MARKUP in kept
    assert not any(character in kept for character in "\x1b\x07\x9b\u202e")


def test_hostile_settings_and_key_map(tmp_path: Path) -> None:
    """safety 77, 78"""
    novel = tmp_path / "novel.md"
    novel.write_text("Once.", encoding="utf-8")
    folder = config_path().parent
    folder.mkdir(parents=True)
    escaped = CLIPBOARD.replace("\x1b", "\\u001b").replace("\x07", "\\u0007")
    (folder / "keymap.toml").write_text(f'"{escaped}{MARKUP}" = "f2"\n', encoding="utf-8")
    with PtyRoom(novel) as room:
        room.wait_for("there is nothing called")
        room.send("\x1b[21~")  # F10: all that was said
        room.wait_for("What was said")
        assert nothing_raw(room)
