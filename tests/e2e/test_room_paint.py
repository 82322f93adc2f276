"""What stands on the terminal after partial repaints is what a full repaint draws."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.stubs.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

TAB, ESCAPE, WORD, SENTENCE, UNDO, ANOTHER, HELP = (
    "\t",
    "\x1b",
    "\x1b[1;5C",
    "\x1b[1;5B",
    "\x1a",
    "\x12",
    "\x1bOP",
)
UP, DOWN, ENTER, BACKSPACE = "\x1b[A", "\x1b[B", "\r", "\x7f"
PARAGRAPH = "She counted the steps on the way down, as she had done every night since the lamp went out. "
STEPS = [
    [TAB, "", WORD, WORD],
    [SENTENCE, UNDO],
    [TAB, "", "x"],
    [UP, UP, TAB, "", ENTER],
    [BACKSPACE, TAB, "", SENTENCE],
    [ANOTHER, "", ESCAPE, ESCAPE],
    [UP, "A word in the middle of the text that moves everything below it down a line. "],
    [UNDO, UNDO, DOWN, DOWN],
]


def page_of(terminal: Terminal) -> list[str]:
    """The rows of the page, without the lines above and below it."""
    return terminal.lines[2:-3]


@pytest.mark.slow
@pytest.mark.parametrize("paragraphs", [3, 40])
def test_partial_repaints_leave_nothing_stale(tmp_path: Path, home: Path, paragraphs: int) -> None:
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text('consent = "no"\n')
    story = tmp_path / "story.md"
    story.write_text("\n\n".join([PARAGRAPH * 2] * paragraphs))
    with Terminal([sys.executable, "-m", "storyteller.bench.room", str(story), "--pace", "60"]) as terminal:
        terminal.wait_for("paced")
        terminal.press("\x1b[1;5F")
        for step in STEPS:
            for keys in step:
                if keys:
                    terminal.press(keys)
                else:
                    terminal.wait_for(lambda t: len(t.italics().split()) > 12)
            terminal.wait_for_quiet(0.3)
            before = page_of(terminal)
            terminal.press(HELP)
            terminal.wait_for("PgDn  scroll")
            terminal.press(ESCAPE)
            terminal.wait_for(lambda t: "PgDn  scroll" not in t.text)
            terminal.wait_for_quiet(0.3)
            assert page_of(terminal) == before, step
