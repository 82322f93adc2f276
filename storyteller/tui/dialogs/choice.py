"""A question with a few answers, each on a line with a letter of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from storyteller.text import display_line
from storyteller.tui.dialogs.dialog import Dialog, words
from storyteller.tui.dialogs.panel import Passage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual import events
    from textual.widget import Widget


@dataclass(frozen=True)
class Answer:
    """One answer: what it returns, its letter, its words."""

    value: str
    key: str
    label: str


class Choice(Dialog[str]):
    """Asks; returns the `value` of the answer. Arrow keys and Enter, the letter, or the mouse choose.

    `unasked`: it comes by itself, perhaps into the middle of a sentence. What is typed in its first moment, and
    what follows other letters at once, was meant for the page and answers nothing.
    """

    FIRST_MOMENT_S: ClassVar[float] = 0.4  # shorter than anyone reads a question in

    def __init__(
        self,
        title: str,
        text: str,
        answers: Sequence[Answer],
        *,
        wide: bool = False,
        leave: str = "",
        unasked: bool = False,
    ) -> None:
        super().__init__(title, wide=wide)
        self._text = text
        self._answers = tuple(answers)
        self._leave = leave
        self._unasked = unasked
        self._not_before = 0.0

    def content(self) -> Iterable[Widget]:
        """The particulars and the answers."""
        if self._text:
            yield Passage(words(self._text))
        yield OptionList(
            *(Option(_label(answer), id=answer.value) for answer in self._answers), markup=False, compact=True
        )
        if self._leave:
            yield words(f"Esc  {self._leave}", "foot")

    def on_mount(self) -> None:
        """The keyboard goes to the answers."""
        self.query_one(OptionList).focus()
        self._not_before = time.monotonic() + (self.FIRST_MOMENT_S if self._unasked else 0.0)

    def on_key(self, event: events.Key) -> None:
        """A letter chooses."""
        for answer in self._answers:
            if event.character == answer.key and self._meant():
                event.stop()
                self.dismiss(answer.value)
                return
        if event.is_printable:
            self._hear_nothing_yet()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if self._meant():
            self.dismiss(event.option.id)

    def _meant(self) -> bool:
        """Whether what was pressed now is an answer."""
        if time.monotonic() >= self._not_before:
            return True
        self._hear_nothing_yet()
        return False

    def _hear_nothing_yet(self) -> None:
        """Somebody types a sentence: what follows at once belongs to it."""
        if self._unasked:
            self._not_before = max(self._not_before, time.monotonic() + self.FIRST_MOMENT_S / 2)


def _label(answer: Answer) -> Content:
    return Content.assemble((f"{answer.key}  ", "$room-accent bold"), display_line(answer.label))
