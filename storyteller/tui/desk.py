"""A document on a page, with quiet lines around it: what is typed is journalled, what is done goes through acts.

`finding.FindingDesk`, `asking.AskingDesk` and `room.Room` build on it, each with one more thing it can do.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual import events, on
from textual.screen import Screen
from textual.worker import Worker

from storyteller.feedback.records import UNNAMED, document_name
from storyteller.manuscript.recovery import discard
from storyteller.tui.acts import BY_ID, ROOM_ACTS
from storyteller.tui.day import Tally
from storyteller.tui.editor.messages import CaretMoved, Edited
from storyteller.tui.editor.page import Page
from storyteller.tui.findbar import FindBar
from storyteller.tui.keymap import bindings
from storyteller.tui.lines import Line, Piece, Rule
from storyteller.tui.outline import heading_above
from storyteller.tui.standing import Manuscript, top_pieces
from storyteller.tui.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.timer import Timer
    from textual.widget import Widget
    from textual.worker import WorkType

    from storyteller.manuscript.recovery import Recovery
    from storyteller.tui.app import StorytellerApp
    from storyteller.tui.dialogs.dialog import Dialog
    from storyteller.tui.keymap import KeyMap
    from storyteller.tui.room import Room
    from storyteller.tui.session import DocumentSession

Answer = TypeVar("Answer")
_PLACEHOLDER = "Write, then press Tab."
_PLACE = 16  # cells that the edges, and line and column, take beside a notice
_LOW = 12  # rows: below, the rules give their place to the page


class Desk(Screen[None], inherit_bindings=False):
    """One document from opening to closing. `focus`: begin in focus mode, or not; None leaves it to the settings."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(ROOM_ACTS)]
    AUTO_FOCUS = "#page"

    def __init__(self, session: DocumentSession, *, focus: bool | None = None) -> None:
        super().__init__()
        self.session = session
        self.page = Page(session.opening_text, placeholder=_PLACEHOLDER, id="page")
        self.turns = Turns()
        self._begin_in_focus = focus
        self.keep_on_leaving = False  # unsaved text stays in the journal when the document closes
        self._tally = Tally(self.page.words)
        self.document_closed = False  # it was let go of; nothing is written to it any more
        self._told: set[str] = set()  # what troubles the journal and the lock
        self._lines_stale = False
        self._known_chapter: tuple[str, int, str | None] | None = None
        self._notice: tuple[str, bool] | None = None
        self._notice_timer: Timer | None = None
        self._autosave_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Two quiet lines above, the page, two below."""
        yield Line(id="top")
        yield Rule(classes="rule")
        yield self.page
        yield FindBar(id="find")
        yield Rule(classes="rule")
        yield Line(id="status")
        yield Line(id="hints")

    def on_mount(self) -> None:
        """Settings go to the page; what has to be asked is asked after the first paint."""
        settings = self.storyteller.settings
        page = self.page
        page.column = settings.column_width
        page.typewriter = settings.typewriter
        page.origins = settings.origin_colours
        page.read_only = self.session.read_only is not None
        self.set_class(not settings.hints, "-no-hints")
        self.set_focus_mode(on=settings.focus if self._begin_in_focus is None else self._begin_in_focus)
        self._show_waiting(self.storyteller.waiting_notices())
        self._draw_lines()
        self.call_after_refresh(self._open)

    # The parts

    @property
    def storyteller(self) -> StorytellerApp:
        """The app, by its own type."""
        return cast("StorytellerApp", self.app)

    @property
    def keymap(self) -> KeyMap:
        """The keys in force."""
        return self.storyteller.keymap

    def key(self, act_id: str) -> str:
        """The key of an act as the hint line writes it."""
        return self.keymap.shown(BY_ID[act_id])

    @property
    def document_name(self) -> str:
        """What the feedback log calls the document."""
        return document_name(self.session.path) if self.session.path else f"{UNNAMED}{self.session.id}"

    # Acts

    def act(self, act_id: str) -> None:
        """Do what the table of acts says; what takes its time runs as a worker."""
        done = BY_ID[act_id].run(cast("Room", self))
        if inspect.iscoroutine(done):
            self.background(done, "acts", name=act_id)

    def action_act(self, act_id: str) -> None:
        """The action behind every key."""
        self.act(act_id)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key whose act cannot be done now keeps its other meaning."""
        if action == "act":
            return BY_ID[str(parameters[0])].when(cast("Room", self))
        return super().check_action(action, parameters)

    async def asked(self, dialog: Dialog[Answer]) -> Answer | None:
        """The answer to a dialog; None if it was left."""
        return await self.app.push_screen_wait(dialog)

    def background(
        self,
        work: Coroutine[Any, Any, object] | Callable[[], Coroutine[Any, Any, object]],
        group: str,
        *,
        name: str = "",
        exclusive: bool = False,
    ) -> None:
        """Do `work` beside everything else; what goes wrong in it is told and logged, and never ends the app.

        With `exclusive` earlier work of the group is cancelled: pass a function, which may never be called.
        """
        self.run_worker(
            cast("WorkType[object]", work),
            name=name or group,
            group=group,
            exclusive=exclusive,
            exit_on_error=False,
        )

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        self.storyteller.worker_changed(event)

    def watch_focused(self, focused: Widget | None) -> None:
        """Other keys act now. A click beside everything leaves the keyboard with the page."""
        if self.is_mounted:
            self.refresh_lines()
        if focused is None and self.app.app_focus and self.is_current:
            self.call_next(self.page.focus)

    # The document

    def _open(self) -> None:
        from storyteller.tui.acts.opening import open_document

        opening = self.turns.take("opening", lambda: open_document(cast("Room", self)))
        self.background(opening, "acts", name="opening")

    def begin(self) -> None:
        """Everything was asked: from now on what is typed is journalled."""
        self.session.begin()
        self.page.read_only = self.session.read_only is not None
        self._journal()
        self.refresh_lines()

    def show_text(self, text: str) -> None:
        """Another text in place of what is on the page; the history begins anew."""
        row, column = self.page.cursor_location
        self.page.load(text)
        self._tally.pass_over(self.page.words)
        self.page.move_cursor((min(row, self.page.document.line_count - 1), column))
        self._journal()
        self.refresh_lines()

    def recover(self, recovery: Recovery) -> None:
        """Text that was never saved comes on the page, in a journal of its own, before the old one goes."""
        self._take_encoding(recovery)
        self.begin()
        self.page.load(recovery.text)
        self.page.move_cursor(recovery.cursor)
        if self.secure():
            discard(recovery)
        self.refresh_lines()
        self.say("Recovered. It is not saved until you save it.")

    def replace_text(self, recovery: Recovery) -> None:
        """Text that was never saved comes on the page in place of what stands there, as one step that can be undone."""
        self._take_encoding(recovery)
        self.page.settle()
        self.page.write(0, self.page.settled_length, recovery.text, exact=True)
        self.page.move_cursor(recovery.cursor)
        if self.secure():
            discard(recovery)
        self.say(f"Recovered; {self.key('page.undo')} brings back what stood here.")

    def _take_encoding(self, recovery: Recovery) -> None:
        """The file's own is the newer one, unless there is no file, or an interrupted save left it torn."""
        if self.session.is_new or recovery.kind == "before":
            self.session.encoding = recovery.encoding

    def secure(self) -> bool:
        """The text is in the journal when this returns True: for signals, crashes and before risks."""
        return self.session.secure(self.page.exact_text, self.page.cursor_location)

    def saved(self, text: str, notes: tuple[str, ...], *, quietly: bool = False) -> None:
        """The document was saved as `text`; `quietly`: nobody asked for it, so nobody is told."""
        self.session.dirty = self.page.exact_text != text
        self._journal()
        self._count_words()
        for note in notes:
            self.say(note)
        if not notes and not quietly:
            self.flash(f"Saved {self.session.name}.")
        self.page.read_only = False
        self.refresh_lines()

    def leave_document(self) -> None:
        """Let go of the document; unsaved text was dealt with. Does nothing twice."""
        if not self.document_closed:
            self.document_closed = True
            if not self.session.dirty:  # what is kept for next time counts when it is saved
                self._count_words()
            if self.keep_on_leaving:
                self.secure()
            self.session.close(keep="journal" if self.keep_on_leaving else "nothing")

    def on_unmount(self) -> None:
        """However it ended: what is not saved stays in the journal."""
        if not self.document_closed:
            self.keep_on_leaving = self.session.dirty
            self.leave_document()

    def _count_words(self) -> None:
        self._tally.count(self.page.words)

    def _journal(self) -> None:
        self.session.edited(self.page.exact_text, self.page.cursor_location)
        self.tell_trouble()

    def tell_trouble(self) -> None:
        """Say, once, why a crash would lose text."""
        trouble = self.session.trouble
        if trouble is not None and trouble not in self._told:
            self._told.add(trouble)
            self.say(trouble, alarm=True)

    @on(Edited)
    def _edited(self) -> None:
        self._journal()
        self.refresh_lines()
        self._await_autosave()

    def _await_autosave(self) -> None:
        pause = self.storyteller.settings.autosave_s
        if self._autosave_timer is not None:
            self._autosave_timer.stop()
        self._autosave_timer = self.set_timer(pause, self._autosave) if pause else None

    def _autosave(self) -> None:
        from storyteller.tui.acts.files import autosave

        if self.app.screen is not self:  # a question may be open whose answer is not to save
            self._await_autosave()
            return
        name = f"autosave of {self.page.revision}"  # what was typed during the last one waits for a turn too
        saving = self.turns.take(name, lambda: autosave(cast("Room", self)))
        self.background(saving, "acts", name="autosave")

    @on(CaretMoved)
    def _caret_moved(self) -> None:
        self.refresh_lines()

    def looked_at_again(self) -> None:
        """The terminal has the focus again: another program may have had the file meanwhile."""
        self.background(self._check_disk, "disk", exclusive=True)

    async def _check_disk(self) -> None:
        state = await self.session.disk_state()
        if state in {"modified", "deleted"}:
            done = "changed by another program" if state == "modified" else "deleted or moved"
            self.say(f"{self.session.name} was {done}. Your page is untouched; saving will ask.", alarm=True)

    # The lines

    def refresh_lines(self) -> None:
        """Draw the lines as things stand; once, however many ask for it before that is done."""
        if not self._lines_stale:
            self._lines_stale = True
            self.call_next(self._draw_lines)

    def _draw_lines(self) -> None:
        self._lines_stale = False
        if not (self.is_attached and self.display):  # on its way out, the lines go before the focus does
            return
        page, session = self.page, self.session
        manuscript = Manuscript(
            name=session.name,
            dirty=session.dirty,
            read_only=page.read_only,
            chapter=self._chapter(),
            words=page.words,
            today=self._tally.total(page.words),
            goal=self.storyteller.settings.daily_goal,
        )
        self.query_one("#top", Line).show(*top_pieces(manuscript))
        self.query_one("#status", Line).show(*self.status)
        self.query_one("#hints", Line).show(*self.hint_pieces())

    def _chapter(self) -> str | None:
        """The chapter of the caret; looked for again where the text or the caret is another (0.2 ms in a novel)."""
        text, caret = self.page.exact_text, self.page.settled_cursor
        known = self._known_chapter
        if known is None or known[0] is not text or known[1] != caret:
            known = self._known_chapter = (text, caret, heading_above(text, caret))
        return known[2]

    @property
    def status(self) -> tuple[list[Piece], list[Piece]]:
        """The status line's pieces: how things stand, or a notice while there is one."""
        left, right = self.status_pieces()
        if self._notice is not None:
            sentence, alarm = self._notice
            notice = Piece(sentence, 9, "$room-alarm" if alarm else "$foreground", elastic=True)
            left = [notice]
            if notice.width > self.size.width - _PLACE:
                right = [Piece(f"{self.key('app.notices')} all of it", 10, "$room-accent")]
        return left, right

    def status_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """What the status line says."""
        return [], []

    def hint_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """What the hint line says."""
        return [], []

    def say(self, sentence: str, *, alarm: bool = False) -> None:
        """One sentence in the status line, kept for the list of notices."""
        self.storyteller.say(sentence, alarm=alarm)

    def _show_waiting(self, sentences: Sequence[str]) -> None:
        """Show what was said before there was a room."""
        if len(sentences) == 1:
            self.show_notice(sentences[0])
        elif sentences:
            self.show_notice(
                f"{len(sentences)} things are not as they should be: {self.key('app.notices')} lists them."
            )

    def flash(self, sentence: str) -> None:
        """A few words in the status line that nobody needs to read again."""
        self.show_notice(sentence, seconds=2.5)

    def show_notice(self, sentence: str, *, alarm: bool = False, seconds: float | None = None) -> None:
        """Put `sentence` in the status line for as long as it takes to read it."""
        self._notice = (sentence, alarm)
        self.set_class(self.has_class("-focus"), "-noticing")
        if self._notice_timer is not None:
            self._notice_timer.stop()
        self._notice_timer = self.set_timer(seconds or 5 + len(sentence) / 20, self.quiet)
        self.refresh_lines()

    def no_longer(self, sentence: str) -> None:
        """What `sentence` says is not so any more; where it is being shown it goes."""
        if self._notice is not None and self._notice[0] == sentence:
            self.quiet()

    def quiet(self) -> None:
        """The notice in the status line has had its time."""
        self._notice = None
        self.remove_class("-noticing")
        self.refresh_lines()

    def set_focus_mode(self, *, on: bool) -> None:
        """Nothing but the page, its paragraph lit; or the lines back."""
        self.set_class(on, "-focus")
        self.page.spotlight = on

    def on_resize(self, event: events.Resize) -> None:
        """A low terminal gives the rules to the page."""
        self.set_class(event.size.height < _LOW, "-low")
