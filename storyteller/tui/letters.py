"""Which keys are letters.

Textual takes for one what Python calls printable. That leaves out every space but the plain one and what joins or
parts letters: the indent of a Japanese paragraph, the blank before a French question mark, half of a Persian word.
It takes Alt with a letter for that letter.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from textual.widgets import Input

if TYPE_CHECKING:
    from textual.events import Key

# Controls, halves of characters, line and paragraph ends.
_NEVER_WRITTEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def written_by(key: Key) -> str:
    """What `key` writes into a text; nothing if it does something instead."""
    characters = key.character or ""
    return "" if _NEVER_WRITTEN.intersection(map(unicodedata.category, characters)) else characters


def writes(key: Key) -> bool:
    """Whether `key` writes, whatever it may be bound to.

    Alt with a letter only where nothing is bound to it: it may be an Escape and a letter that came together.
    """
    return bool(written_by(key)) and not key.key.startswith("alt+")


class LetterInput(Input):
    """An `Input` that takes every letter."""

    async def _on_key(self, event: Key) -> None:
        written = written_by(event)
        if written and not event.is_printable:
            event.stop()
            event.prevent_default()
            self.replace(written, *self.selection)
