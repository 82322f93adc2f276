"""The stretch of the document that is not the writer's yet, and the arithmetic around it.

Provisional text stands in the document, so that it wraps and scrolls like any other; the settled text is
the document without it. Offsets into the one become offsets into the other here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Provisional:
    """`text` stands at `start` of the document; with no text there is nothing provisional."""

    start: int = 0
    text: str = ""

    @property
    def length(self) -> int:
        """How many characters are provisional."""
        return len(self.text)

    @property
    def end(self) -> int:
        """Where in the document it ends."""
        return self.start + len(self.text)

    def settled(self, offset: int) -> int:
        """The offset in the settled text for one in the document; all of the stretch is one place."""
        if not self.text or offset <= self.start:
            return offset
        return max(self.start, offset - len(self.text))

    def placed(self, offset: int, *, after: bool = False) -> int:
        """The offset in the document for one in the settled text; at the stretch itself, before or `after` it."""
        if not self.text or offset < self.start or (offset == self.start and not after):
            return offset
        return offset + len(self.text)


def common_prefix(first: str, second: str) -> int:
    """How many characters two texts share from the start."""
    if second.startswith(first):
        return len(first)
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return len(second)
