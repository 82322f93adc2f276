"""What asks the writer something comes one after another, and nothing twice at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Turns:
    """A save that is still being written, then the question whether to save: each waits for the one before."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._wanted: set[str] = set()

    async def take(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do `work` when it is its turn; nothing where something of this name has not ended yet."""
        if name in self._wanted:
            return
        self._wanted.add(name)
        try:
            async with self._turn:
                await work()
        finally:
            self._wanted.discard(name)
