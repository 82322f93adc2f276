"""A screen that gives its answer once: keys that were pressed faster than it went are not answers to anything.

From any number of them over the page, the program can be left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from textual.await_complete import AwaitComplete
from textual.screen import Screen

if TYPE_CHECKING:
    from storyteller.tui.app import StorytellerApp

Answer = TypeVar("Answer")


class AnswersOnce(Screen[Answer]):
    """Textual fails where a screen is dismissed that is not on top any more."""

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Give `result` to whoever asked, and go; nothing happens the second time."""
        if self.app.screen is not self:
            return AwaitComplete()
        return super().dismiss(result)

    def action_leave(self) -> None:
        """No answer."""
        self.dismiss(None)

    def action_quit_program(self) -> None:
        """Out of the program by way of all that is open over the page; what is not saved is asked about as ever."""
        self.action_leave()
        app = cast("StorytellerApp", self.app)
        below = app.screen
        if below is not self and isinstance(below, AnswersOnce):
            below.action_quit_program()
        elif app.room is not None and below is app.room:
            app.room.act("app.quit")
