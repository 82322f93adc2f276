"""A text to read and leave: the help, what was said lately."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from storyteller.tui.dialogs.dialog import Dialog, words
from storyteller.tui.dialogs.panel import GIVES_WAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.content import Content
    from textual.widget import Widget


class Reading(Dialog[None]):
    """Shows a text longer than the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1", "leave", "Leave", show=False, id="reading.leave"),
    ]

    def __init__(self, title: str, text: Content) -> None:
        super().__init__(title, wide=True)
        self._text = text

    def content(self) -> Iterable[Widget]:
        """The text, with room to scroll."""
        yield VerticalScroll(Static(self._text, markup=False), classes=f"scroll {GIVES_WAY}")
        yield words("↑↓ PgUp PgDn  scroll   Esc  back", "foot")

    def on_mount(self) -> None:
        """The keyboard scrolls."""
        self.query_one(VerticalScroll).focus()
