"""Which adapters the open model can write with now: those it was opened with, and those that came on the shelf since."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from storyteller.engine.catalogue import find_adapters
from storyteller.errors import StorytellerError

if TYPE_CHECKING:
    from storyteller.engine.protocol import Ready


def with_adapters(ready: Ready) -> Ready:
    """`ready` with the names of all adapters there are now. Looks at the disk."""
    try:
        found = find_adapters(Path(ready.path))
    except (StorytellerError, OSError):  # a model that is no folder any more, or never was one
        return ready
    return replace(ready, adapters=tuple(sorted({*ready.adapters, *found})))
