"""An act: one thing a writer can do, with the words for it, its keys and the function that does it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual.binding import Binding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from textual.binding import BindingType

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
        title: what the palette and the help call it, without a full stop.
        run: does it; what it returns is of no interest, but a coroutine runs as a worker of the room.
        keys: default keys, comma-separated; empty for palette only.
        about: one sentence for the palette and the help.
        when: whether it can be done now; where not, its keys mean what they mean without it.
        listed: whether the palette offers it; what only makes sense by its key is left out.
        group: its section of the help; the first part of the id where nothing is said.
        screen: where its keys are pressed; the keys of different screens do not clash.
    """

    id: str
    title: str
    run: Callable[[Room], object]
    keys: str = ""
    about: str = ""
    when: Callable[[Room], bool] = always
    listed: bool = True
    group: str = ""
    screen: str = "room"

    @property
    def section(self) -> str:
        """The help screen's section."""
        return self.group or self.id.partition(".")[0]


def screen_acts(bindings: Sequence[BindingType], screen: str) -> Iterator[Act]:
    """The keys of a screen over the room, for the help and the key map."""
    for binding in bindings:
        if isinstance(binding, Binding) and binding.id is not None:
            yield Act(
                binding.id,
                binding.description,
                partial(_run, action=binding.action),
                binding.key,
                listed=False,
                screen=screen,
            )


def _run(room: Room, *, action: str) -> object:
    return room.app.screen.run_action(action)
