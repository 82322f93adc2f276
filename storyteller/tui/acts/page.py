"""The page's own keys as acts: the page binds them; here they get their place in palette, help and key map."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from textual.binding import Binding

from storyteller.tui.acts.act import Act
from storyteller.tui.editor.keys import CARET_BINDINGS, EDIT_BINDINGS, OFFER_BINDINGS, SELECTION_BINDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from textual.binding import BindingType

    from storyteller.tui.room import Room

_LISTED: Final = frozenset({"cut", "copy", "paste", "undo", "redo", "select_all"})


def _acts(bindings: Sequence[BindingType], group: str, *, listed: bool | None = None) -> Iterator[Act]:
    for binding in bindings:
        if isinstance(binding, Binding) and binding.id is not None:
            yield Act(
                binding.id,
                binding.description,
                partial(_run, action=binding.action),
                binding.key,
                when=partial(_possible, action=binding.action),
                listed=binding.action in _LISTED if listed is None else listed,
                group=group,
            )


def _run(room: Room, *, action: str) -> object:
    return room.page.run_action(action)


def _possible(room: Room, *, action: str) -> bool:
    return room.page.has_focus and bool(room.page.check_action(action, ()))


PAGE_ACTS: Final = (
    *_acts(OFFER_BINDINGS, "offer", listed=True),
    *_acts(EDIT_BINDINGS, "edit"),
    *_acts(SELECTION_BINDINGS, "select"),
    *_acts(CARET_BINDINGS, "move"),
)
