"""Asks for one line: a path, a line number. It stays open, and says why, until the answer can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.content import Content
from textual.widgets import Input, Static

from storyteller.errors import StorytellerError
from storyteller.text import display_text
from storyteller.tui.dialogs.dialog import Dialog, words
from storyteller.tui.dialogs.panel import Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.widget import Widget


class Entry(Dialog[str]):
    """Returns what was typed, once `check` raised no `StorytellerError` for it."""

    def __init__(
        self, title: str, *, value: str = "", text: str = "", check: Callable[[str], object] | None = None
    ) -> None:
        super().__init__(title)
        self._value = value
        self._text = text
        self._check = check

    def content(self) -> Iterable[Widget]:
        """A sentence, the line, and room for what is wrong with it."""
        if self._text:
            yield Passage(words(self._text))
        yield Input(value=self._value, select_on_focus=False)
        yield Static(classes="alarm", markup=False)
        yield words("Enter  go on     Esc  leave", "foot")

    def on_mount(self) -> None:
        """The keyboard goes to the line."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            if self._check is not None:
                self._check(event.value)
        except StorytellerError as error:
            self.query_one(".alarm", Static).update(Content(display_text(error.message)))
        else:
            self.dismiss(event.value)
