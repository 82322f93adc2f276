"""The braid: several takes of one place growing side by side, until the writer keeps one up to a word of it.

What streams is the room's, so leaving the braid ends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from storyteller.tui.acts import BY_ID
from storyteller.tui.hints import braid_pieces
from storyteller.tui.lane_plan import Plan, columns, likely_lines, plan, rows_for, text_width
from storyteller.tui.lane_view import LaneClicked, LaneView
from storyteller.tui.lanes import MOST, Lanes
from storyteller.tui.over import OverRoom
from storyteller.tui.prose import drawn, rows
from storyteller.tui.takes_keys import BRAID_BINDINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType

    from storyteller.feedback.records import Kind
    from storyteller.tui.lines import Piece
    from storyteller.tui.live import LiveTake
    from storyteller.tui.room import Room

_ABOVE: Final = 1_500  # characters before the caret that may be shown above the lanes

_ROOMY: Final = 6  # rows beside the lanes from which one of them stays blank


@dataclass(frozen=True)
class Kept:
    """The first `characters` of a take are to be kept."""

    take: LiveTake
    characters: int


class Above(Widget):
    """The last lines before the place that the lanes go on from."""

    def __init__(self, text: str, column: int) -> None:
        super().__init__(id="above")
        self._text = text
        self._column = column

    def render(self) -> Content:
        """As many lines as there is room for."""
        lines = rows(self._text, min(self.content_size.width, self._column))
        return Content("\n").join(drawn(self._text, lines[-max(1, self.content_size.height) :]))


class Braid(OverRoom[Kept]):
    """Returns what was kept. `lanes` are streaming already."""

    BINDINGS: ClassVar[list[BindingType]] = BRAID_BINDINGS
    ALLOW_SELECT = False

    def __init__(self, room: Room, lanes: Lanes) -> None:
        super().__init__(room)
        self.lanes = lanes
        self._wanted = 0  # rows a lane has needed so far: what has grown does not shrink
        self._parted = False  # what is seen now is the page's to tell

    def content(self) -> Iterable[Widget]:
        """The manuscript's last lines and the lanes."""
        page = self.room.page
        yield Above(page.text_before(_ABOVE), page.column)
        yield Container(*(LaneView(lane) for lane in self.lanes.lanes), id="lanes")

    def on_mount(self) -> None:
        """Lanes that come in sight by scrolling are seen as well."""
        super().on_mount()
        self.watch(self.query_one("#lanes"), "scroll_y", self._note_seen, init=False)

    def on_resize(self) -> None:
        """Lines of another width need another number of rows."""
        self._wanted = 0
        super().on_resize()

    def on_unmount(self) -> None:
        """However it ended: what was seen is seen no more."""
        self._part()

    # Showing

    @property
    def views(self) -> list[LaneView]:
        """The lanes as they are on the screen, from the first to the last."""
        views = {view.lane: view for view in self.query(LaneView)}
        return [views[lane] for lane in self.lanes.lanes if lane in views]

    def draw(self) -> None:
        """Places, texts, captions, lines."""
        super().draw()
        area, lanes = self.query_one("#lanes", Container), self.lanes
        found = self._lay_out(area)
        for view in self.views:
            view.show(lanes.caption(view.lane), current=view.lane is lanes.lane, boxed=found.boxed)
        self._note_seen()

    def _lay_out(self, area: Container) -> Plan:
        """Give the lanes as many rows as they are likely to need, and more where they do."""
        count, (width, height) = len(self.lanes.lanes), self.size
        cells = text_width(columns(count, width), width)
        lines = [likely_lines(self.room.manner.max_tokens, cells)]
        lines += [view.lines_needed(cells) for view in self.views]
        self._wanted = max(self._wanted, rows_for(max(lines)))
        found = plan(count, width, height, self._wanted)
        for number in range(1, MOST + 1):
            area.set_class(number == found.beside, f"-beside-{number}")
        area.set_class(found.scrolled, "-scrolled")
        area.styles.height = found.area
        self.set_class(height - found.area > _ROOMY, "-roomy")
        return found

    def hint_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """What can be done with the lanes."""
        return braid_pieces([lane.number for lane in self.lanes.lanes], BY_ID, self.room.keymap)

    def _note_seen(self) -> None:
        """The log is told which lanes are in sight, and for how long they were."""
        if self._parted:
            return
        area = self.query_one("#lanes")
        in_sight = area.size.region.translate(area.scroll_offset)
        for view in self.views:
            take = view.lane.take
            seen = bool(view.lane.text) and in_sight.overlaps(view.virtual_region)
            if seen and not take.on_page:
                self.room.witness.showed(take)
            elif take.on_page and not seen:
                self.room.prompter.concealed(take)

    # Choosing

    def action_move(self, by: int) -> None:
        """Another lane."""
        self.lanes.move(by)
        self.draw()
        self.views[self.lanes.current].scroll_visible(animate=False)

    def action_word(self, by: int) -> None:
        """Keep a word more or less of this lane."""
        lane = self.lanes.lane
        if by > 0:
            lane.word_forward()
        else:
            lane.word_back()
        self.draw()

    def action_all(self) -> None:
        """Keep all of this lane."""
        self.lanes.lane.keep_all()
        self.draw()

    def action_keep(self, number: int | None = None) -> None:
        """Back to the page with this lane up to its caret; the others stop, and stay among the takes."""
        lane = self.lanes.lane if number is None else self.lanes.numbered(number)
        if lane is None:
            return
        if not lane.kept:
            self.room.flash("Its caret is before the first word." if lane.text else "Nothing came here yet.")
            return
        for other in self.lanes.lanes:
            if other is not lane and other.streaming:
                self.room.stop_stream(other.take)
        kept = Kept(lane.take, len(lane.kept))
        self._part()
        self.dismiss(kept)

    async def action_drop(self) -> None:
        """Refuse this lane, which stays among the takes; the others have its room."""
        if len(self.lanes.lanes) == 1:
            self.room.flash("The last lane stays.")
            return
        view = self.views[self.lanes.current]
        self._give_way(self.lanes.drop().take, "reject", "Dropped.")
        await view.remove()
        self.draw()

    def action_replace(self) -> None:
        """Another take in place of this one."""
        self._give_way(self.lanes.lane.renew(self._another()), "retry", "Another take comes.")
        self.draw()

    async def action_add(self) -> None:
        """One lane more."""
        if len(self.lanes.lanes) == MOST:
            self.room.flash(f"There are {MOST} lanes at most.")
            return
        view = LaneView(self.lanes.add(self._another()))
        area, place = self.query_one("#lanes", Container), self.lanes.current
        await area.mount(view, before=place if place < len(area.children) else None)
        self.draw()

    def action_leave(self) -> None:
        """Back to the page. What streams goes on among the takes."""
        for lane in self.lanes.lanes:
            if lane.take.on_page:
                self.room.witness.did("dismiss", lane.take, 0, len(lane.text), hidden=True)
        self._part()
        if self.lanes.streaming:
            self.room.flash("They write on out of sight.")
        self.dismiss(None)

    @on(LaneClicked)
    def _lane_clicked(self, event: LaneClicked) -> None:
        self.lanes.move_to(event.lane)
        event.lane.keep_through(event.offset)
        if event.twice:
            self.action_keep()
        else:
            self.draw()

    def _another(self) -> LiveTake:
        room = self.room
        asking = room.prompter.ask(room.manner, show=False, beside=True)
        room.stream(asking, beside=True)
        return asking.lanes[0]

    def _give_way(self, take: LiveTake, kind: Kind, words: str) -> None:
        room = self.room
        if take.on_page:
            room.confirm(room.witness.did(kind, take, 0, len(take.offer.whole)), words)
            room.prompter.concealed(take)
        if take.finish is None:
            room.stop_stream(take)

    def _part(self) -> None:
        if not self._parted:
            self._parted = True
            for lane in self.lanes.lanes:
                if lane.take.on_page:
                    self.room.prompter.concealed(lane.take)
