"""Every sampler setting with its value and one line about it; Enter changes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from storyteller.engine.explain import allowed, explain
from storyteller.text import display_line
from storyteller.tui.dialogs.dialog import Dialog, words
from storyteller.tui.dialogs.entry import Entry
from storyteller.tui.dialogs.panel import GIVES_WAY
from storyteller.tui.manner import Manner, changed, shown_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget


class SamplersDialog(Dialog[Manner]):
    """Returns the manner with what was changed here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "done", "Done", show=False, id="samplers.done"),
    ]

    def __init__(self, manner: Manner) -> None:
        super().__init__("Every setting of the sampler", wide=True)
        self._manner = manner

    def content(self) -> Iterable[Widget]:
        """The settings and the keys."""
        yield OptionList(*self._options(), classes=GIVES_WAY, markup=False, compact=True)
        yield words("Enter  change   Esc  done", "foot")

    def on_mount(self) -> None:
        """The keyboard goes to the list."""
        self.query_one(OptionList).focus()

    def action_done(self) -> None:
        """Back, with the changes."""
        self.dismiss(self._manner)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        name = event.option.id or ""
        entry = Entry(
            name.replace("_", " "),
            text=f"{explain(name)} It may be {allowed(name)}.",
            value=shown_value(getattr(self._manner.settings, name)),
            check=lambda written: changed(self._manner, name, written),
        )
        self.app.push_screen(entry, lambda written: self._change(name, written))

    def _change(self, name: str, written: str | None) -> None:
        if written is None:
            return
        self._manner = changed(self._manner, name, written)
        options = self.query_one(OptionList)
        options.replace_option_prompt(name, self._label(name, getattr(self._manner.settings, name)))

    def _options(self) -> list[Option]:
        settings = msgspec.structs.asdict(self._manner.settings)
        return [Option(self._label(name, value), id=name) for name, value in settings.items()]

    def _label(self, name: str, value: object) -> Content:
        own = value != getattr(self._manner.preset.settings, name)
        shown = display_line(shown_value(value))
        shown = shown[:13] + "…" if len(shown) > 14 else shown
        return Content.assemble(
            name.replace("_", " ").ljust(22),
            (shown.ljust(16), "$room-accent bold" if own else ""),
            (explain(name), "$room-muted"),
        )
