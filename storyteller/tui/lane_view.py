"""A lane of the braid on the screen: a number, the growing text with its caret, a caption. A click says where it went."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget

from storyteller.tui.prose import Row, Span, drawn, offset_at, rows, window

if TYPE_CHECKING:
    from textual import events

    from storyteller.tui.lanes import Lane

_REST: Final = "$origin-provisional italic"


@dataclass
class LaneClicked(Message):
    """The mouse was pressed on a lane, on the character at `offset` of its text; `twice` for a double click."""

    lane: Lane
    offset: int
    twice: bool


class LaneView(Widget):
    """One lane. What it looks like beside others is the style sheet's, by the classes `-current` and `-boxed`."""

    def __init__(self, lane: Lane) -> None:
        super().__init__()
        self.lane = lane
        self._frame: tuple[object, ...] = ()
        self._painted: list[Content] = []
        self._painted_in = self.content_size

    def show(self, caption: str, *, current: bool, boxed: bool) -> None:
        """Draw the lane as it stands, and no line again that stays; `boxed` where there is room for a box."""
        frame = (self.lane.number, caption, current, boxed)
        if frame != self._frame:
            self._frame = frame
            self.set_class(current, "-current")
            self.set_class(boxed, "-boxed")
            number = Content.styled(str(self.lane.number), "bold" if current else "")
            self.border_title = number if boxed else number.append(f"  {caption}")
            self.border_subtitle = Content(caption) if boxed else None
        before = self._painted
        self._take_lines()
        width = self.content_size.width
        changed = [
            Region(0, y, width, 1)
            for y, (old, new) in enumerate(zip_longest(before, self._painted))
            if old is None or new is None or not old.is_same(new)
        ]
        if changed:
            self.refresh(*changed)

    def render(self) -> Content:
        """The lines that fit, with the caret, or the end of what grows, among them.

        As they were shown last: of what came since, only the lines that are drawn again anyway would be seen.
        """
        if self.content_size != self._painted_in:
            self._take_lines()
        return Content("\n").join(self._painted)

    def _take_lines(self) -> None:
        self._painted, self._painted_in = self._lines(), self.content_size

    def _lines(self) -> list[Content]:
        text, end = self.lane.text, self._end
        spans: list[Span] = [(end, len(text), _REST)]
        return drawn(text, self._visible(), spans, caret=end if self.has_class("-current") else None)

    def lines_needed(self, width: int) -> int:
        """How many lines the text takes in `width` cells."""
        return len(rows(self.lane.text, width, _blank(self.lane.text)))

    @property
    def _end(self) -> int:
        """Where what would be kept ends; the blank that a take begins with is not shown."""
        text, caret = self.lane.text, self.lane.caret
        return max(_blank(text), len(text) if caret is None else caret)

    def _visible(self) -> list[Row]:
        text, size = self.lane.text, self.content_size
        lines = rows(text, size.width, _blank(text))
        return lines[window(lines, self._end, size.height)]

    def on_click(self, event: events.Click) -> None:
        """Tell the screen which character it was."""
        event.stop()
        place = event.get_content_offset(self)
        lines = self._visible()
        offset = len(self.lane.text)
        if place is not None and place.y < len(lines):
            offset = offset_at(self.lane.text, lines[place.y], place.x)
        self.post_message(LaneClicked(self.lane, offset, twice=event.chain > 1))


def _blank(text: str) -> int:
    return len(text) - len(text.lstrip(" "))
