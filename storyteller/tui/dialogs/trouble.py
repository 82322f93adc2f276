"""Something of ours broke and the app goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding

from storyteller import paths
from storyteller.tui.dialogs.dialog import Dialog, words
from storyteller.tui.dialogs.panel import Passage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import ClassVar

    from textual.binding import BindingType
    from textual.widget import Widget


class Trouble(Dialog[None]):
    """Says so, and where the details are. `kept`: what is not saved lies in the journal."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "leave", "Go on", show=False, id="trouble.leave"),
    ]

    def __init__(self, what: str, *, kept: bool) -> None:
        super().__init__("Something in storyteller broke")
        self._what = what
        self._kept = kept

    def content(self) -> Iterable[Widget]:
        """What to know."""
        if self._kept:
            said = "Your text is untouched, and what is not saved is kept for recovery. You can write on."
        else:
            said = (
                "Your text is untouched, but what is not saved cannot be recovered should storyteller end. "
                "Save it before you write on."
            )
        yield Passage(words(said))
        yield Passage(words(f"{self._what}\n{paths.log_path()} has the details.", "foot"))
        yield words("Esc  go on", "foot")
