"""What the model is shown: the text before the caret, from a place that stays put while one types. Pure."""

from __future__ import annotations

from typing import Final

from storyteller.engine.protocol import Context
from storyteller.text import writable_text

REACH: Final = 24_576  # characters before the caret, before the move to a line start
BLOCK: Final = 8_192  # the beginning moves in steps of this, so that the engine's cached prefix holds


def beginning(text: str, caret: int) -> int:
    """Where the shown text begins: 0, or a line start between `REACH` - `BLOCK` and `REACH` + `BLOCK` before `caret`.

    It stays where it is while `caret` moves inside a block of `BLOCK` characters and the text before it stands.
    """
    block = max(0, caret - REACH) // BLOCK * BLOCK
    if block == 0:
        return 0
    newline = text.find("\n", block, block + BLOCK)
    return block if newline < 0 else newline + 1


def context_before(text: str, caret: int, *, header: str = "") -> Context:
    """The context of a continuation at `caret`, controls removed and newlines unified."""
    return Context(text=writable_text(text[beginning(text, caret) : caret]), header=header)
