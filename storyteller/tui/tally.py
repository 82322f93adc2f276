"""What the top line says about a text: its words and the chapter a place is in. Pure."""

from __future__ import annotations

import re
from typing import Final

# Scripts without spaces: a character counts as a word, as the word processors of those languages do it.
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HEADING: Final = re.compile(r"#{1,6}[ \t]+(.*?)[ \t#]*$", re.MULTILINE)


def count_words(text: str) -> int:
    """How many words `text` has."""
    if text.isascii():
        return len(text.split())
    spaced, characters = _UNSPACED.subn(" ", text)
    return len(spaced.split()) + characters


def heading_above(text: str, offset: int) -> str | None:
    """The last Markdown heading that begins before `offset` (its line counts), or None."""
    end = offset
    while True:
        start = text.rfind("\n#", 0, end + 1)
        found = _HEADING.match(text, start + 1)
        if found and (start >= 0 or text.startswith("#")) and found.start() < max(offset, 1):
            return found[1]
        if start < 0:
            return None
        end = start - 1
