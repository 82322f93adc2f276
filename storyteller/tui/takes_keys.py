"""The keys of the braid and of the list of takes; each has an id, so that the writer's key map can change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storyteller.tui.lanes import MOST
from storyteller.tui.quiet import quiet_binding

if TYPE_CHECKING:
    from textual.binding import BindingType

LIST_BINDINGS: Final[list[BindingType]] = [
    quiet_binding("enter", "offer", "Offer this take again, at its place", "list.offer"),
    quiet_binding("a", "all", "The takes of this place, or of the whole text", "list.all"),
    quiet_binding("space", "compare", "Compare this take with the others, or stop comparing", "list.compare"),
    quiet_binding("c,ctrl+c", "copy", "Copy this take", "list.copy"),
    quiet_binding("delete,x", "drop", "Drop this take from the list", "list.drop"),
    quiet_binding("u,ctrl+z", "undrop", "Bring back what was dropped last", "list.undrop"),
    quiet_binding("escape,f6", "leave", "Back to the page", "list.leave"),
    quiet_binding("f1", "help", "Help", "list.help"),
]

BRAID_BINDINGS: Final[list[BindingType]] = [
    *(
        quiet_binding(
            str(number), f"keep({number})", f"Keep lane {number} to its caret", f"braid.keep-{number}"
        )
        for number in range(1, MOST + 1)
    ),
    quiet_binding("enter", "keep", "Keep this lane to its caret", "braid.keep"),
    quiet_binding("left,shift+tab", "move(-1)", "The lane to the left", "braid.left"),
    quiet_binding("right,tab", "move(1)", "The lane to the right", "braid.right"),
    quiet_binding("down", "word(1)", "A word more", "braid.word-more"),
    quiet_binding("up", "word(-1)", "A word less", "braid.word-less"),
    quiet_binding("end", "all", "All of it, also what is still to come", "braid.all"),
    quiet_binding("x,delete", "drop", "Drop this lane", "braid.drop"),
    quiet_binding("r", "replace", "Another take in this lane", "braid.replace"),
    quiet_binding("plus", "add", "One lane more", "braid.add"),
    quiet_binding("escape,ctrl+t", "leave", "Back to the page", "braid.leave"),
    quiet_binding("f1", "help", "Help", "braid.help"),
]
