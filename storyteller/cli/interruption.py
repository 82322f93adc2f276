"""Ctrl-C during a long run: once saves and stops, twice ends at once."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from storyteller.cli.streams import notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

INTERRUPTED: Final = 130


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C, or a polite kill, once: asked for; twice: `KeyboardInterrupt`."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - what signal calls
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        notice("Saving and stopping after this step; once more ends at once.")

    before = {which: signal.signal(which, ask) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
