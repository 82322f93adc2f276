"""The panel of a dialog: where its rows do not fit, the long parts scroll, and title, answers and keys stay in sight."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from textual.containers import Vertical, VerticalScroll
from textual.geometry import Region
from textual.layouts.vertical import VerticalLayout

if TYPE_CHECKING:
    from textual.geometry import Size
    from textual.layout import ArrangeResult, Layout
    from textual.widget import Widget

GIVES_WAY: Final = "gives-way"
"""The class of what scrolls in fewer rows than it would take. Where there is more than one, the last shrinks first."""

_LEAST: Final = 2  # rows that are left to it


class _GivingWay(VerticalLayout):
    """From top to bottom, in no more rows than there are as long as something can give way."""

    name = "giving-way"

    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> ArrangeResult:
        placements = list(super().arrange(parent, children, size, greedy))
        if not placements or not size.height:  # without a height, what it would take is asked for
            return placements
        excess = placements[-1].region.bottom + placements[-1].margin.bottom - size.height
        given = [0] * len(placements)
        for index in reversed(range(len(placements))):
            place = placements[index]
            if excess > 0 and place.widget.has_class(GIVES_WAY):
                given[index] = max(0, min(excess, place.region.height - _LEAST))
                excess -= given[index]
        above = accumulate(given, initial=0)
        return [
            place._replace(region=_shrunk(place.region, rows, gone))
            for place, rows, gone in zip(placements, given, above, strict=False)
        ]


def _shrunk(region: Region, rows: int, above: int) -> Region:
    """`region` without so many rows of its own, in its place after so many went above it."""
    return Region(region.x, region.y - above, region.width, region.height - rows)


class Panel(Vertical):
    """What a dialog consists of."""

    _giving_way: Final = _GivingWay()

    @property
    def layout(self) -> Layout:
        """Textual has no layout in which a part takes what it needs and no more than is left."""
        return self._giving_way


class Passage(VerticalScroll):
    """A text that gives way. The keyboard goes there where there is something to scroll."""

    def __init__(self, text: Widget) -> None:
        super().__init__(text, classes=f"passage {GIVES_WAY}")

    def allow_focus(self) -> bool:
        """Whether Tab stops here."""
        return super().allow_focus() and self.max_scroll_y > 0
