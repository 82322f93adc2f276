"""A disk that takes as long as a test wants."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from storyteller.manuscript.save import save

if TYPE_CHECKING:
    import pytest


def saves_wait(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The room's saves wait from now on, until the event is set."""
    disk = threading.Event()

    def slow(*args: object, **named: object) -> object:
        disk.wait(10)
        return save(*args, **named)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr("storyteller.tui.session.save", slow)
    return disk
