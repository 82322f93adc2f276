"""A braid in a headless room: what its lanes are told, and how a test lets them grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.tui.braid import Braid

if TYPE_CHECKING:
    from tests.stubs.open_room import OpenRoom

TEXTS = (
    " Then she put on her coat.",
    " The first time she laughed, the second time she counted the lines.",
    " “You needn’t pretend,” said a voice.",
)
ANOTHER = " It began in the middle of a word."
BEFORE = "# One\n\nShe read it twice."


async def braided(room: OpenRoom, tokens: int = 1000) -> Braid:
    """The braid at the end of the text, after so many tokens of all its lanes."""
    await room.press("ctrl+end", "ctrl+t")
    braid = await room.dialog(Braid)
    assert isinstance(braid, Braid)
    await grow(room, tokens)
    if tokens:
        await room.until(lambda: all(lane.text for lane in braid.lanes.lanes), turns=2000)
    return braid


async def grow(room: OpenRoom, tokens: int = 1000) -> None:
    """So many tokens more, or all there are."""
    await room.engine.step(tokens)
    await room.settle()
