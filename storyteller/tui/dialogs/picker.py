"""A list to pick one thing from, narrowed by typing, with each row's effect shown while one looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from storyteller.text import display_line
from storyteller.tui.dialogs.dialog import Dialog, words
from storyteller.tui.dialogs.panel import GIVES_WAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import ClassVar

    from textual.binding import BindingType
    from textual.widget import Widget


_KEYS: Final = "↑↓ look   Enter  choose   Esc  leave it as it was"
_NOTHING: Final = "Nothing is called so.   Esc  leave it as it was"


@dataclass(frozen=True)
class Row:
    """One thing to pick: what it returns, its name, a few words about it."""

    value: str
    name: str
    about: str = ""


class Picker(Dialog[str]):
    """Returns the `value` of the row picked. `looked_at` is called with the value under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "Next", show=False, id="picker.down", priority=True),
        Binding("up", "move(-1)", "Previous", show=False, id="picker.up", priority=True),
    ]

    def __init__(
        self,
        title: str,
        rows: Sequence[Row],
        *,
        picked: str | None = None,
        looked_at: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(title)
        self._rows = tuple(rows)
        self._picked = picked  # or lit last
        self._looked_at = looked_at
        self._keys = _KEYS

    def content(self) -> Iterable[Widget]:
        """A line to narrow the list with, and the list."""
        yield Input(placeholder="type to narrow the list")
        yield OptionList(*self._options(""), classes=GIVES_WAY, markup=False, compact=True)
        yield words(self._keys, "foot")

    def on_mount(self) -> None:
        """The keyboard goes to the narrowing line; the cursor to what is picked now."""
        self.query_one(Input).focus()
        self._light(self._picked)

    def action_move(self, by: int) -> None:
        """Look at the next or previous row."""
        options = self.query_one(OptionList)
        if by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def _options(self, needle: str) -> list[Option]:
        needle = needle.casefold()
        width = max((len(row.name) for row in self._rows), default=0) + 2
        return [
            Option(_label(row, width), id=row.value)
            for row in self._rows
            if needle in f"{row.name} {row.about}".casefold()
        ]

    @on(Input.Changed)
    def _narrowed(self, event: Input.Changed) -> None:
        event.stop()
        options = self.query_one(OptionList)
        if options.highlighted_option is not None:
            self._picked = options.highlighted_option.id
        options.clear_options()
        options.add_options(self._options(event.value))
        self._light(None if event.value else self._picked)  # the first of what is looked for, or what was lit

    def _light(self, value: str | None) -> None:
        """Put the cursor on this row, or on the first, and say which keys do something now."""
        options = self.query_one(OptionList)
        values = [option.id for option in options.options]
        if values:
            options.highlighted = values.index(value) if value in values else 0
        self._say()

    def _say(self) -> None:
        """Which keys do something now."""
        lit = self.query_one(OptionList).highlighted is not None
        self.query_one(".foot", Static).update(Content(self._keys if lit else _NOTHING))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self.dismiss(options.get_option_at_index(options.highlighted).id)

    @on(OptionList.OptionHighlighted)
    def _looked(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if self._looked_at is not None and event.option.id is not None:
            self._looked_at(event.option.id)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option.id)


def _label(row: Row, width: int) -> Content:
    return Content.assemble(display_line(row.name).ljust(width), (display_line(row.about), "$room-muted"))
