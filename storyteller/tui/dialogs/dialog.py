"""What every dialog shares: a quiet panel over the page, words that are never markup, Escape to leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.binding import Binding
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from storyteller.text import display_text
from storyteller.tui.answering import AnswersOnce
from storyteller.tui.dialogs.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.widget import Widget

Answer = TypeVar("Answer")


def words(text: str, classes: str = "words") -> Static:
    """A paragraph: controls made visible, brackets left alone."""
    return Static(Content(display_text(text)), classes=classes, markup=False)


class Dialog(AnswersOnce[Answer | None], ModalScreen[Answer | None]):
    """A question over the page; its answer, or None when the writer leaves it."""

    CSS_PATH = Path(__file__).parent.parent / "dialogs.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]  # noqa: RUF012 - declared so by Textual
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", show=False, id="dialog.leave"),
        Binding("ctrl+q", "quit_program", "Quit", show=False, id="app.quit"),
    ]

    def __init__(self, title: str, *, wide: bool = False) -> None:
        super().__init__(classes="wide" if wide else None)
        self._heading = title

    def compose(self) -> ComposeResult:
        """The title, then what the dialog is about."""
        with Panel(classes="dialog"):
            yield words(self._heading, "title")
            yield from self.content()

    def content(self) -> Iterable[Widget]:
        """What stands under the title."""
        return ()
