"""Where in a manuscript a place is: the chapter, by its Markdown heading. Pure."""

from __future__ import annotations

import re
from typing import Final

_HEADING: Final = re.compile(r"#{1,6}[ \t]+(.*?)[ \t#]*$", re.MULTILINE)


def heading_above(text: str, offset: int) -> str | None:
    """The last Markdown heading whose line begins before `offset` or at it; None before the first."""
    at = text.rfind("\n", 0, offset) + 1
    while True:
        found = _HEADING.match(text, at)
        if found:
            return found[1]
        at = text.rfind("\n#", 0, at) + 1
        if at == 0:
            first = _HEADING.match(text)
            return first[1] if first else None
