"""A screen over the room that shows the same takes: the room tells it when they change, and goes on meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from textual import on
from textual.binding import Binding
from textual.message import Message
from textual.worker import Worker

from storyteller.tui.answering import AnswersOnce
from storyteller.tui.lines import Line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual._path import CSSPathType
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.widget import Widget

    from storyteller.tui.lines import Piece
    from storyteller.tui.room import Room

Result = TypeVar("Result")


class RoomChanged(Message):
    """Something the room knows changed. Only the latest of several is delivered."""

    def can_replace(self, message: Message) -> bool:
        """What changed a moment ago is drawn together with this."""
        return isinstance(message, RoomChanged)


OVER: Final = Path(__file__).parent / "over.tcss"


class OverRoom(AnswersOnce[Result | None], inherit_bindings=False):
    """The room's status line and a hint line below something; its result is None when the writer just leaves."""

    CSS_PATH: ClassVar[CSSPathType | None] = OVER
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f10", "notices", "What was said", show=False, id="app.notices"),
        Binding("ctrl+q", "quit_program", "Quit", show=False, id="app.quit"),
    ]

    def __init__(self, room: Room) -> None:
        super().__init__()
        self.room = room

    def compose(self) -> ComposeResult:
        """What the screen is about, and two lines."""
        yield from self.content()
        yield Line(id="status")
        yield Line(id="hints")

    def content(self) -> Iterable[Widget]:
        """What stands above the lines."""
        return ()

    def hint_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """The keys worth knowing now."""
        return [], []

    def on_mount(self) -> None:
        """The line of keys, where the room has one."""
        self.set_class(self.room.has_class("-no-hints"), "-no-hints")

    def on_resize(self) -> None:
        """Everything finds its place anew; the first time too."""
        self.call_after_refresh(self._room_changed)

    def draw(self) -> None:
        """Show things as they stand."""
        self.query_one("#status", Line).show(*self.room.status)
        self.query_one("#hints", Line).show(*self.hint_pieces())

    def action_help(self) -> None:
        """All keys."""
        self.room.act("app.help")

    def action_notices(self) -> None:
        """What was said, all of it."""
        self.room.act("app.notices")

    @on(RoomChanged)
    def _room_changed(self) -> None:
        if self.is_current:  # a word from the room may come when this is on its way out
            self.draw()

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        self.room.storyteller.worker_changed(event)
