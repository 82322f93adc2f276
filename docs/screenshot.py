"""Draws docs/room.svg: the real app, the real engine and the model that ships, in the middle of an offer.

Usage: python docs/screenshot.py [OUT.svg]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from storyteller.config import Settings
from storyteller.engine.client import EngineClient
from storyteller.engine.protocol import Load
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.writer import FeedbackWriter
from storyteller.tui.app import StorytellerApp
from storyteller.tui.lines import Line

if TYPE_CHECKING:
    from collections.abc import Callable

OPENING = """# The Keeper of Harrow

## Chapter one

The lamp had burned low by the time Ada found the second letter. It lay beneath the first, folded so thin that it might have been a hem, and it was not in her father's hand.

She read it twice. Then she put on her coat and"""
SIZE = (96, 24)
WORDS = 14  # of the offer, when the picture is taken


async def draw(novel: Path) -> str:
    """Open the room on `novel`, press Tab, keep three words: the SVG."""
    engine = EngineClient()
    await engine.start(Load(id="picture"))
    feedback = FeedbackWriter(FeedbackLog(refusals=("all",)), warn=lambda _: None)
    app = StorytellerApp(engine, novel, Settings(consent="no"), feedback)
    async with app.run_test(size=SIZE) as pilot:
        await _until(lambda: engine.ready is not None)
        await pilot.press("ctrl+end", "tab")
        await _until(lambda: _offered(app) >= WORDS)
        await pilot.press("ctrl+right", "ctrl+right", "ctrl+right")
        await _until(lambda: "starter" in app.screen.query_one("#status", Line).text)
        picture = app.export_screenshot(title="storyteller")
    await engine.close()
    return picture


def _offered(app: StorytellerApp) -> int:
    """Words on offer now."""
    offer = None if app.room is None else app.room.page.offer
    return 0 if offer is None else len(offer.text.split())


async def _until(holds: Callable[[], bool]) -> None:
    """Let the room live until `holds`: a picture is of a moment that nobody announces."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "room.svg"
    with tempfile.TemporaryDirectory() as home:
        os.environ["STORYTELLER_HOME"] = home
        harrow = Path(home) / "harrow.md"
        harrow.write_text(OPENING, encoding="utf-8")
        out.write_text(asyncio.run(draw(harrow)), encoding="utf-8")
