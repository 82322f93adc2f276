"""The genre, and how much of each adapter: a list with a fader beside everything that has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from storyteller.text import display_line
from storyteller.tui.dialogs.dialog import words
from storyteller.tui.dialogs.picker import Picker, Row
from storyteller.tui.mixing import Mix, fader, weight_words
from storyteller.tui.standing import mix_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.binding import BindingType
    from textual.widget import Widget

_FADERS: Final = "↑↓ look   ←→ 0-9  how much of it   Esc  leave it as it was"
_PLAIN: Final = "↑↓ look   Enter  choose   Esc  leave it as it was"


class _Letters(Input):
    """Narrows the list with everything but digits, which are weights."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether a key is text."""
        return super().check_consume_key(key, character) and not (character or "").isdecimal()


class GenrePicker(Picker):
    """Returns the row picked: a genre, or an adapter that is none. `mix` says whether faders were moved instead.

    Enter takes the row under the cursor, alone and as trained; once a fader was moved it takes the mix, and the genre
    stays what it was.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "weigh(-1)", "Less of it", show=False, id="genre.less", priority=True),
        Binding("right", "weigh(1)", "More of it", show=False, id="genre.more", priority=True),
        *(
            Binding(
                str(digit),
                f"put({digit})",
                f"{digit} tenths of it",
                show=False,
                id=f"genre.{digit}",
                priority=True,
            )
            for digit in range(10)
        ),
    ]

    def __init__(self, rows: Sequence[Row], *, picked: str, mix: Mix) -> None:
        super().__init__("Genre", rows, picked=picked)
        self.mix = mix
        self._genre = picked
        self._keys = _FADERS if mix.weights else _PLAIN

    def content(self) -> Iterable[Widget]:
        """The list, and what Enter does."""
        _, rows, _ = super().content()
        yield _Letters(placeholder="type to narrow the list")
        yield rows
        yield Static(id="mix", classes="words", markup=False)
        yield words(self._keys, "foot")

    def action_weigh(self, by: int) -> None:
        """More or less of what is under the cursor."""
        name = self._looked_at_name()
        if name is not None:
            self.mix.move(name, by)
            self._redraw(name)

    def action_put(self, tenths: int) -> None:
        """So many tenths of what is under the cursor."""
        name = self._looked_at_name()
        if name is not None:
            self.mix.put(name, tenths / 10)
            self._redraw(name)

    def _looked_at_name(self) -> str | None:
        option = self.query_one(OptionList).highlighted_option
        return option.id if option is not None else None

    def _redraw(self, name: str) -> None:
        row = next(row for row in self._rows if row.value == name)
        self.query_one(OptionList).replace_option_prompt(name, self._label(row))
        self._say()

    def _options(self, needle: str) -> list[Option]:
        return [
            Option(self._label(next(row for row in self._rows if row.value == option.id)), id=option.id)
            for option in super()._options(needle)
        ]

    def _label(self, row: Row) -> Content:
        width = max(len(one.name) for one in self._rows) + 2
        name = display_line(row.name).ljust(width)
        if row.value not in self.mix.weights:
            return Content.assemble(name, (display_line(row.about), "$room-muted"))
        weight = self.mix.weights[row.value]
        return Content.assemble(
            name,
            (f"{fader(weight)} ", "$room-accent" if weight else "$room-muted"),
            (weight_words(weight).ljust(4), "$foreground" if weight else "$room-muted"),
            (f"  {display_line(row.about)}", "$room-muted"),
        )

    @on(OptionList.OptionHighlighted)
    def _looked_at_row(self) -> None:
        self._say()

    def _say(self) -> None:
        super()._say()
        self.query_one("#mix", Static).update(Content(display_line(self._enter_does())))

    def _enter_does(self) -> str:
        name = self._looked_at_name()
        if name is None:
            return ""
        if self.mix.moved:
            mixed = mix_words("", self.mix.adapters) or "no adapter"
            return f"Enter  write {self._genre}, with {mixed}"
        return f"Enter  write {name}"
