"""Where sentences end, for takes that are to end with one."""

from __future__ import annotations

import re
from typing import Final

# A terminator, the quotes and brackets that close after it, then a blank, the end, or, in scripts
# without blanks, anything.
_END: Final = re.compile(
    r"""[.!?…]+["'”’»)\]*_]*(?=\s|\Z)   # Latin: a blank must follow
      | [。！？]+[」』”’）]*             # Chinese and Japanese: none does
      | \S(?=[ \t]*\n[ \t]*\n)           # the end of a paragraph, whatever it ends in
    """,
    re.VERBOSE,
)
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Rev|Hon|Capt|Col|Gen|Lt|Sgt|Jr|Sr|vs|etc|No)|\b[A-Z])\.\Z"
)


def last_sentence_end(text: str) -> int:
    """The length of `text` up to the end of its last whole sentence; 0 where it has none."""
    best = 0
    for found in _END.finditer(text):
        if not _ABBREVIATION.search(text, max(0, found.end() - 8), found.end()):
            best = found.end()
    return best


def ends_sentence(text: str) -> bool:
    """Whether `text` ends where a sentence does."""
    return bool(text) and last_sentence_end(text[-200:]) == len(text[-200:])
