"""An act: one thing a writer can do, with the words for it, its keys and the function that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from storyteller.tui.room import Room


def always(_room: Room) -> bool:
    """An act that can be done at any time."""
    return True


def on_the_page(room: Room) -> bool:
    """An act of the page: its key belongs to whatever else is being typed into."""
    return room.page.has_focus


@dataclass(frozen=True)
class Act:
    """Key bindings, the palette, the help screen and the hint line are all made from these.

    Attributes:
        id: what `keymap.toml` calls it.
        title: what the palette and the help call it: an imperative, without a full stop.
        run: does it; a coroutine runs as a worker of the room.
        keys: default keys, comma-separated; empty for palette only.
        about: one sentence for the palette and the help.
        when: whether it can be done now; where not, its keys mean what they mean without it.
    """

    id: str
    title: str
    run: Callable[[Room], Awaitable[None] | None]
    keys: str = ""
    about: str = ""
    when: Callable[[Room], bool] = always

    @property
    def group(self) -> str:
        """The first part of the id: the help screen's section."""
        return self.id.partition(".")[0]
