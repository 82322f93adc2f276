"""A writer's day in a real terminal, with the real engine child and the model that ships."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.stubs.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

OPENING = "The old lighthouse keeper opened the door and"
TAB, ESCAPE, WORD, GIVE_BACK, UNDO, SAVE, QUIT = (
    "\t",
    "\x1b",
    "\x1b[1;5C",
    "\x1b[1;5D",
    "\x1a",
    "\x13",
    "\x11",
)
IDLE = "write on"  # the hint line when Tab would ask


@pytest.fixture
def story(tmp_path: Path, home: Path) -> Path:
    """A file that does not exist yet, in a home where the first question was answered."""
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text('consent = "no"\n')
    return tmp_path / "story.md"


def room(story: Path, *options: str) -> Terminal:
    return Terminal([sys.executable, "-m", "storyteller", str(story), *options])


def streaming(terminal: Terminal) -> bool:
    """An offer of some words on the page."""
    return len(terminal.italics().split()) >= 3


def settled(terminal: Terminal) -> bool:
    """Nothing provisional on the page."""
    return not terminal.italics().strip()


def child_of(pid: int) -> int:
    """The engine's process."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True
    )
    return int(listed.stdout.split()[0])


@pytest.mark.slow
def test_types_asks_accepts_by_word_undoes_saves_is_killed_in_mid_stream_and_recovers(story: Path) -> None:
    # safety 2
    with room(story) as terminal:
        terminal.wait_for("Write, then press Tab.")
        terminal.press(OPENING)
        terminal.wait_for(OPENING)
        terminal.press(TAB)
        terminal.wait_for(streaming, timeout=60)
        terminal.press(WORD)
        terminal.wait_for("Kept one word")
        kept = terminal.text.partition(OPENING)[2].split()[0]
        terminal.press(UNDO)
        terminal.wait_for(settled)
        terminal.wait_for(lambda t: f"{OPENING} {kept}" not in t.text)
        assert OPENING in terminal.text
        terminal.press(SAVE)
        terminal.wait_for("Saved")
        assert story.read_text() == OPENING
        terminal.press(" he went back.")
        terminal.wait_for("went back.")
        terminal.wait_for(lambda _: "went back." in journalled(), timeout=5)
        terminal.press(TAB)
        terminal.wait_for(streaming, timeout=60)
        terminal.kill()
    assert story.read_text() == OPENING

    with room(story) as terminal:
        terminal.answer("never saved", "r")
        terminal.wait_for(f"{OPENING} he went back.")
        assert settled(terminal), "what the model had only offered is not the writer's text"
        assert story.read_text() == OPENING, "a recovered text is not written over the file by itself"
        terminal.press(SAVE)
        terminal.wait_for("Saved")
        terminal.press(QUIT)
        assert terminal.wait_for_exit() == 0
    assert story.read_text() == f"{OPENING} he went back."

    with room(story) as terminal:
        terminal.wait_for("went back.")
        terminal.wait_for(IDLE, timeout=60)
        assert "never saved" not in terminal.text


@pytest.mark.slow
def test_the_engines_death_in_mid_stream_leaves_the_text_and_the_next_tab_works(story: Path) -> None:
    # safety 37
    story.write_text(OPENING)
    with room(story) as terminal:
        terminal.wait_for(IDLE, timeout=60)
        terminal.press("\x1b[1;5F")
        terminal.press(TAB)
        terminal.wait_for(streaming, timeout=60)
        engine = child_of(terminal.pid)
        os.kill(engine, signal.SIGKILL)
        terminal.wait_for("engine")
        assert OPENING in terminal.text
        terminal.wait_for("Esc no")  # what had come stays on offer, to be taken or refused
        terminal.press(ESCAPE)
        terminal.wait_for(settled)
        terminal.wait_for(IDLE, timeout=60)
        terminal.press(TAB)
        terminal.wait_for(streaming, timeout=60)
        assert child_of(terminal.pid) != engine
    assert story.read_text() == OPENING


@pytest.mark.slow
def test_everything_the_terminal_got_is_free_of_the_documents_control_sequences(
    tmp_path: Path, home: Path
) -> None:
    # safety 16, 44, 78
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text('consent = "no"\n')
    title, clipboard = "\x1b]0;owned\x07", "\x1b]52;c;b3duZWQ=\x07"
    hostile = tmp_path / f"a{title}[red]b[x].md"
    hostile.write_text(f"# {title}[@click=app.quit]x[/]\n\n{clipboard}\u202e {OPENING}")
    with room(hostile) as terminal:
        terminal.wait_for(OPENING)
        terminal.wait_for(IDLE, timeout=60)
        terminal.press("\x1b[1;5F")
        terminal.press(TAB)
        terminal.wait_for(streaming, timeout=60)
        terminal.press(SAVE)
        terminal.wait_for("Saved")
        raw = terminal.raw
    assert b"\x1b]0;owned" not in raw
    assert b"\x1b]52;" not in raw
    assert "\u202e".encode() not in raw
    assert hostile.read_text().startswith(f"# {title}[@click")


def journalled() -> str:
    """Everything in the recovery journals, as it lies on the disk."""
    from storyteller.paths import journal_dir

    return "".join(file.read_bytes().decode("utf-8", "replace") for file in journal_dir().rglob("*.journal"))
