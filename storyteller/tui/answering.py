"""A screen that gives its answer once: keys that were pressed faster than it went are not answers to anything."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import Screen

Answer = TypeVar("Answer")


class AnswersOnce(Screen[Answer]):
    """Textual fails where a screen is dismissed that is not on top any more."""

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Give `result` to whoever asked, and go; nothing happens the second time."""
        if self.app.screen is not self:
            return AwaitComplete()
        return super().dismiss(result)
