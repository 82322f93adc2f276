"""The keys of the braid and of the list of takes; each has an id, so that the writer's key map can change it."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

from storyteller.tui.lanes import MOST


def _binding(keys: str, action: str, does: str, name: str) -> Binding:
    return Binding(keys, action, does, show=False, id=name)


LIST_BINDINGS: Final[list[BindingType]] = [
    _binding("enter", "offer", "Offer this take again, at its place", "list.offer"),
    _binding("a", "all", "The takes of this place, or of the whole text", "list.all"),
    _binding("space", "compare", "Compare this take with the others, or stop comparing", "list.compare"),
    _binding("c,ctrl+c", "copy", "Copy this take", "list.copy"),
    _binding("delete,x", "drop", "Drop this take from the list", "list.drop"),
    _binding("u,ctrl+z", "undrop", "Bring back what was dropped last", "list.undrop"),
    _binding("escape,f6", "leave", "Back to the page", "list.leave"),
    _binding("f1", "help", "Help", "list.help"),
]

BRAID_BINDINGS: Final[list[BindingType]] = [
    *(
        _binding(str(number), f"keep({number})", f"Keep lane {number} to its caret", f"braid.keep-{number}")
        for number in range(1, MOST + 1)
    ),
    _binding("enter", "keep", "Keep this lane to its caret", "braid.keep"),
    _binding("left,shift+tab", "move(-1)", "The lane to the left", "braid.left"),
    _binding("right,tab", "move(1)", "The lane to the right", "braid.right"),
    _binding("down", "word(1)", "A word more", "braid.word-more"),
    _binding("up", "word(-1)", "A word less", "braid.word-less"),
    _binding("end", "all", "All of it, also what is still to come", "braid.all"),
    _binding("x,delete", "drop", "Drop this lane", "braid.drop"),
    _binding("r", "replace", "Another take in this lane", "braid.replace"),
    _binding("plus", "add", "One lane more", "braid.add"),
    _binding("escape,ctrl+t", "leave", "Back to the page", "braid.leave"),
    _binding("f1", "help", "Help", "braid.help"),
]
