"""How the model writes: a preset, three sliders, a die, and everything else one key further."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from storyteller.text import display_line
from storyteller.tui.dialogs.dialog import Dialog, words
from storyteller.tui.dialogs.panel import GIVES_WAY
from storyteller.tui.manner import Manner, diced, slid, sliders, with_preset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from textual.binding import BindingType
    from textual.widget import Widget

    from storyteller.engine.presets import Preset

_TRACK: Final = 21  # cells of a slider
_FOOT: Final = "↑↓ row   ←→ change   d dice   m more   Enter keep   Esc leave"


class MannerDialog(Dialog[Manner]):
    """Returns the manner as it was changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Row above", show=False, id="manner.up"),
        Binding("down", "move(1)", "Row below", show=False, id="manner.down"),
        Binding("left,minus", "change(-1)", "Less", show=False, id="manner.less"),
        Binding("right,plus", "change(1)", "More", show=False, id="manner.more"),
        Binding("d", "roll", "Dice", show=False, id="manner.dice"),
        Binding("m", "more", "Everything", show=False, id="manner.everything"),
        Binding("enter", "keep", "Keep", show=False, id="manner.keep"),
    ]

    def __init__(
        self, manner: Manner, presets: Mapping[str, Preset], *, rng: random.Random | None = None
    ) -> None:
        super().__init__("How the model writes")
        self._manner = manner
        self._presets = dict(presets)
        self._rng = rng or random.Random()
        self._row = 0

    def content(self) -> Iterable[Widget]:
        """The rows and the keys."""
        rows = (Static(row, classes="row", markup=False) for row in self._drawn())
        yield VerticalScroll(*rows, classes=f"scroll {GIVES_WAY}", can_focus=False)
        yield words(_FOOT, "foot")

    @property
    def manner(self) -> Manner:
        """As it stands now."""
        return self._manner

    def action_move(self, by: int) -> None:
        """Another row."""
        self._row = (self._row + by) % 4
        self._redraw()

    def action_change(self, by: int) -> None:
        """The row's value, one step."""
        if self._row == 0:
            self._use_preset(by)
        else:
            self._manner = slid(self._manner, sliders(self._manner)[self._row - 1].name, by)
        self._redraw()

    def action_roll(self) -> None:
        """Settings by chance, sane ones."""
        self._manner = diced(self._manner, self._rng)
        self._redraw()

    def action_more(self) -> None:
        """Every sampler setting, with a line about each."""
        from storyteller.tui.dialogs.samplers import SamplersDialog

        self.app.push_screen(SamplersDialog(self._manner), self._changed)

    def action_keep(self) -> None:
        """Use it from now on."""
        self.dismiss(self._manner)

    def _changed(self, manner: Manner | None) -> None:
        if manner is not None:
            self._manner = manner
            self._redraw()

    def _use_preset(self, by: int) -> None:
        names = list(self._presets)
        if not names:
            return
        here = names.index(self._manner.preset.name) if self._manner.preset.name in names else 0
        self._manner = with_preset(self._manner, self._presets[names[(here + by) % len(names)]])

    def _redraw(self) -> None:
        rows = list(self.query(".row").results(Static))
        for row, drawn in zip(rows, self._drawn(), strict=True):
            row.update(drawn)
        rows[self._row].scroll_visible(animate=False)

    def _drawn(self) -> list[Content]:
        lines = [self._line(0, "preset", f"‹ {self._manner.name} ›", self._manner.preset.about)]
        for row, slider in enumerate(sliders(self._manner), 1):
            place = round((_TRACK - 1) * slider.place)
            track = "─" * place + "●" + "─" * (_TRACK - 1 - place)
            lines.append(self._line(row, slider.name, f"{track}  {slider.shown}", slider.about))
        return lines

    def _line(self, row: int, name: str, value: str, about: str) -> Content:
        chosen = row == self._row
        return Content.assemble(
            ("▸ " if chosen else "  ", "$room-accent"),
            (name.ljust(12), "bold" if chosen else ""),
            (display_line(value), "$room-accent" if chosen else ""),
            "\n" + " " * 14,
            (display_line(about), "$room-muted"),
        )
