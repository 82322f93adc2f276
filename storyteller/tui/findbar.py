"""The find line: what to look for, what to put in its place, and four switches. The page does the looking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from storyteller.text import display_line
from storyteller.tui.editor.find import Query
from storyteller.tui.letters import LetterInput

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class FindBar(Vertical):
    """Posts what the writer wants; the room answers with `report`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back to the page", show=False, id="findbar.leave"),
        Binding("tab,shift+tab", "other_field", "Other field", show=False, id="findbar.other"),
        Binding("down", "step(1)", "Next", show=False, id="findbar.next"),
        Binding("up", "step(-1)", "Previous", show=False, id="findbar.previous"),
        Binding("f2", "switch('case')", "Match case", show=False, priority=True, id="findbar.case"),
        Binding("f6", "switch('words')", "Whole words", show=False, priority=True, id="findbar.words"),
        Binding("f9", "switch('regex')", "Regular expression", show=False, priority=True, id="findbar.regex"),
        Binding("ctrl+r", "replace_all", "Replace all", show=False, priority=True, id="findbar.all"),
    ]

    @dataclass
    class Wanted(Message):
        """Something else is looked for."""

        query: Query

    @dataclass
    class Stepped(Message):
        """To the next (1) or previous (-1) match."""

        by: int

    @dataclass
    class Replaced(Message):
        """The match, or all of them, shall become `text`."""

        text: str
        everywhere: bool

    class Left(Message):
        """Back to the page."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._query = Query("")
        self._selected = ""  # what was selected: the field shows its controls as pictures

    def compose(self) -> ComposeResult:
        """Two rows: find, replace."""
        with Horizontal(id="find-row"):
            yield Static("find ", classes="label", markup=False)
            yield LetterInput(id="find-text", select_on_focus=True)
            yield Static(id="find-count", markup=False)
        with Horizontal(id="replace-row"):
            yield Static("with ", classes="label", markup=False)
            yield LetterInput(id="replace-text", select_on_focus=True)
        yield Static(id="find-alarm", markup=False)
        yield Static(id="find-switches", markup=False)

    @property
    def replacing(self) -> bool:
        """Whether there is a line for what to put in the place of what is found."""
        return self.has_class("-replacing")

    @property
    def wanted(self) -> Query:
        """What is looked for."""
        return self._query

    def open(self, *, text: str, replacing: bool) -> None:
        """Show the bar; a one-line selection is what one looks for."""
        self.set_class(replacing, "-replacing")
        self.display = True
        field = self.query_one("#find-text", Input)
        if text and "\n" not in text and "\r" not in text:
            self._selected = text
            field.value = display_line(text)
        field.focus()
        field.action_select_all()
        self._look()

    def report(self, found: str, *, alarm: bool = False) -> None:
        """How many matches; with `alarm`, why none can be looked for, on a line of its own."""
        self.query_one("#find-count", Static).update(Content("" if alarm else display_line(found)))
        self.query_one("#find-alarm", Static).update(Content(display_line(found) if alarm else ""))
        self.set_class(alarm, "-alarm")

    def action_leave(self) -> None:
        """Back to the page."""
        self.display = False
        self.post_message(self.Left())

    def action_other_field(self) -> None:
        """From what to find to what to put there, and back."""
        if self.replacing:
            find, with_ = self.query_one("#find-text", Input), self.query_one("#replace-text", Input)
            (find if with_.has_focus else with_).focus()

    def action_step(self, by: int) -> None:
        """Another match."""
        self.post_message(self.Stepped(by))

    def action_switch(self, name: str) -> None:
        """Turn one of the switches over."""
        on = not getattr(self._query, name)
        match name:
            case "case":
                self._query = replace(self._query, case=on)
            case "words":
                self._query = replace(self._query, words=on)
            case "regex":
                self._query = replace(self._query, regex=on)
        self._look()

    def action_replace_all(self) -> None:
        """Every match, as one step of the history."""
        if self.replacing:
            self.post_message(self.Replaced(self.query_one("#replace-text", Input).value, everywhere=True))

    @on(Input.Changed, "#find-text")
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._look()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "replace-text":
            self.post_message(self.Replaced(event.value, everywhere=False))
        else:
            self.post_message(self.Stepped(1))

    def _look(self) -> None:
        shown = self.query_one("#find-text", Input).value
        text = self._selected if shown == display_line(self._selected) else shown
        self._query = replace(self._query, text=text)
        self._draw()
        self.post_message(self.Wanted(self._query))

    def _draw(self) -> None:
        switches = [("F2", "case", "match case"), ("F6", "words", "whole words"), ("F9", "regex", "pattern")]
        parts: list[str | tuple[str, str]] = []
        for key, name, words in switches:
            on = getattr(self._query, name)
            parts += [(f"{'●' if on else '○'} {words}", "$room-accent" if on else ""), f" {key}   "]
        self.query_one("#find-switches", Static).update(Content.assemble(*parts))
