"""The Textual app: what outlives a document. The engine, the log of feedback, settings, themes, keys, and the end.

Everything about one document is the room's.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import App
from textual.events import AppFocus, Event, Key, Paste
from textual.widgets import OptionList
from textual.worker import Worker, WorkerState

from storyteller.errors import SettingsError, StorytellerError
from storyteller.feedback.consent import EVERYTHING
from storyteller.text import display_text
from storyteller.tui.acts import ACTS
from storyteller.tui.driver import HungUp, RepaintWanted, TerminalDriver
from storyteller.tui.keymap import load_keymap
from storyteller.tui.keyorder import TAKE_LETTERS, caught_up
from storyteller.tui.letters import writes
from storyteller.tui.log import describe
from storyteller.tui.model_state import ModelState, after
from storyteller.tui.room import Room
from storyteller.tui.session import DocumentSession
from storyteller.tui.themes import DEFAULT_THEME, load_themes, room_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from textual.binding import BindingType
    from textual.command import Provider
    from textual.driver import Driver

    from storyteller.config import Settings
    from storyteller.engine.port import Engine
    from storyteller.engine.protocol import AdapterWeight, StatusEvent
    from storyteller.feedback.writer import FeedbackWriter
    from storyteller.tui.training.watch import Watch

_log = logging.getLogger(__name__)
_LOOK_AFTER_S: Final = 1.5  # the room comes first
_PAGES: Final = ("pageup", "pagedown")
_CRASHED: Final = "storyteller failed ({}). {}"
_KEPT: Final = "Your text is safe: open the file again and it is offered to you."
_NOT_KEPT: Final = "What was not saved could not be kept for recovery."


def _palette() -> type[Provider]:
    from storyteller.tui.palette import ActProvider

    return ActProvider


class StorytellerApp(App[None], inherit_bindings=False):
    """The program on the screen. Raises `DocumentError` from the constructor if `document` cannot be opened."""

    TITLE = "storyteller"
    CSS_PATH = "room.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
    COMMAND_PALETTE_BINDING = "unbound:palette"  # the room binds it, as every act
    BINDINGS: ClassVar[list[BindingType]] = []
    ESCAPE_TO_MINIMIZE = False

    def __init__(
        self,
        engine: Engine,
        document: Path | None,
        settings: Settings,
        feedback: FeedbackWriter,
        *,
        adapters: Sequence[AdapterWeight] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        self.keymap = load_keymap(ACTS)
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)  # else colours become greys
        self.engine = engine
        self.settings = settings
        self.feedback = feedback
        self.adapters = None if adapters is None else tuple(adapters)  # None: the genre's own
        self.model = ModelState(ready=engine.ready)
        self.notices: list[str] = []  # everything said, oldest first
        self._waiting_notices: list[str] = []
        self._training: Watch | None = None
        self._text_kept = True  # whether what was not saved was in the journal when the app failed
        for sentence in (*warnings, *self.keymap.warnings):
            self.say(sentence)
        self._first_session = DocumentSession.open(document)
        engine.listen(self._heard)

    # What stands at the beginning

    def get_driver_class(self) -> type[Driver]:
        """Ours, unless a test or a developer asks for another."""
        chosen = super().get_driver_class()
        return TerminalDriver if chosen.__name__ == "LinuxDriver" else chosen

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The room's colours for themes that do not know them."""
        return room_variables(self.current_theme)

    def on_mount(self) -> None:
        """Themes, keys, the room."""
        themes, warnings = load_themes()
        for theme in themes:
            self.register_theme(theme)
        for sentence in warnings:
            self.say(sentence)
        self.use_theme(self.settings.theme)
        self.set_class("NO_COLOR" in os.environ or self.console.color_system == "standard", "-few-colours")
        self.set_keymap(self.keymap.for_textual(ACTS))
        self.push_screen(Room(self._first_session))
        self.set_timer(_LOOK_AFTER_S, self._look_for_training)

    def use_theme(self, name: str) -> None:
        """Look like this from now on; unknown names fall back to our own."""
        if name not in self.available_themes:
            self.say(f"There is no theme {name}; this is {DEFAULT_THEME}.")
            name = DEFAULT_THEME
        self.theme = name

    @property
    def room(self) -> Room | None:
        """The room, wherever it is under dialogs."""
        rooms = (
            [screen for screen in self.screen_stack if isinstance(screen, Room)] if self._screen_stack else []
        )
        return rooms[-1] if rooms else None

    def open_room(self, session: DocumentSession) -> None:
        """Leave the present document, which was dealt with, and go to another in the same manner and mode.

        Later, and not by whoever asks: that may be a worker of the room that goes.
        """
        before = self.room
        room = (
            Room(session) if before is None else Room(session, focus=before.focus_mode, manner=before.manner)
        )
        self.call_later(self.switch_screen, room)

    def action_command_palette(self) -> None:
        """Everything that can be done now."""
        from textual.command import CommandPalette

        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="What would you like to do?"))

    async def on_event(self, event: Event) -> None:
        """Keys take effect in the order they were pressed: see `keyorder`. Pasting brings the focus back, as keys do."""
        if isinstance(event, Paste) and not event.is_forwarded:
            self.app_focus = True
        if isinstance(event, Key) and not event.is_forwarded and await self._did_at_once(event):
            return
        await super().on_event(event)

    async def _did_at_once(self, key: Key) -> bool:
        """Do what a key is bound to, after the letters before it and before those behind it; False where it is not."""
        focused = self.focused
        if focused is None or not self.app_focus or (writes(key) and isinstance(focused, TAKE_LETTERS)):
            return False
        await caught_up(focused)
        if key.key in _PAGES and any(
            not rows.scrollable_content_region for rows in self.screen.query(OptionList)
        ):
            return True  # a list without room has no lines to move in, and Textual fails looking for them
        return await self._check_bindings(key.key, priority=True) or await self._check_bindings(key.key)

    # What is said

    def say(self, sentence: str, *, alarm: bool = False) -> None:
        """Show one sentence in the status line and keep it for the list of notices."""
        self.notices.append(sentence)
        _log.info("said a notice (%d characters)", len(sentence))
        if self.room is not None and self.room.is_mounted:
            self.room.show_notice(sentence, alarm=alarm)
        else:
            self._waiting_notices.append(sentence)

    def waiting_notices(self) -> list[str]:
        """What was said before there was a room to show it; the room asks once."""
        waiting, self._waiting_notices = self._waiting_notices, []
        return waiting

    def keep_setting(self, name: str, value: object) -> None:
        """Remember a setting in the writer's file; says so if that fails."""
        from msgspec.structs import replace

        from storyteller.config import save_setting

        self.settings = replace(self.settings, **{name: value})
        try:
            save_setting(name, value)
        except SettingsError as error:
            self.say(error.message)

    def keep_refusals(self) -> None:
        """Remember what the writer does not want to be learned from: where there is no library, nothing else does."""
        self.keep_setting("refusals", tuple(no for no in self.feedback.refusals if no != EVERYTHING.refusal))

    def _heard(self, event: StatusEvent) -> None:
        self.model, sentence = after(self.model, event)
        if sentence is not None:
            self.say(sentence)
        if self.room is not None and self.room.is_mounted:
            self.room.model_changed()

    # What is learned meanwhile

    @property
    def training(self) -> Watch:
        """The run of training that is followed."""
        if self._training is None:
            from storyteller.tui.training.watch import Watch

            self._training = Watch(self._training_changed, self._training_ended)
        return self._training

    @property
    def training_words(self) -> str:
        """What the status line says of it; nothing where there is none."""
        return self._training.words if self._training is not None else ""

    def follow_training(self, genre: str) -> None:
        """Know from now on how the run of `genre` goes, whoever started it."""
        self._work(partial(self.training.follow, genre), "training")

    async def refresh_adapters(self) -> None:
        """Know the adapters that came on the shelf since the model opened."""
        from storyteller.tui.adapters import with_adapters

        ready = self.model.ready
        newer = await asyncio.to_thread(with_adapters, ready) if ready is not None else None
        if newer != ready and self.model.ready is ready:
            self.model = replace(self.model, ready=newer)
            if self.room is not None and self.room.is_mounted:
                self.room.model_changed()

    def _look_for_training(self) -> None:
        """A run may go on that was started before, here or from the shell."""

        async def look() -> None:
            from storyteller.tui.training.watch import genre_in_training

            genre = await asyncio.to_thread(genre_in_training)
            if genre is not None and not self.training.following:
                self.follow_training(genre)

        self._work(look, "look for training")

    def _work(self, work: Callable[[], Coroutine[object, object, None]], group: str) -> None:
        self.run_worker(work, name=group, group=group, exclusive=True, exit_on_error=False)

    def _training_changed(self) -> None:
        if self.room is not None and self.room.is_mounted:
            self.room.refresh_lines()

    def _training_ended(self, watch: Watch) -> None:
        """It is over, and the writer may be at the page: one sentence, and what it made can be used."""
        from storyteller.tui.training.words import farewell

        room = self.room
        if room is not None and room.is_mounted:
            here = room.will_write_with(watch.genre)
            self.say(
                farewell(
                    watch.genre,
                    watch.progress,
                    room.key("page.continue" if here else "view.genre"),
                    here=here,
                )
            )
        self._work(self.refresh_adapters, "adapters")

    # What goes wrong, and the end

    @on(Worker.StateChanged)
    def worker_changed(self, event: Worker.StateChanged) -> None:
        """A background job broke: the text is secured, the log has the details, the app goes on.

        These messages do not bubble: screens pass theirs on.
        """
        if event.state is not WorkerState.ERROR or event.worker.error is None:
            return
        error = event.worker.error
        if isinstance(error, StorytellerError):
            self.say(str(error), alarm=True)
            return
        _log.error("a background job failed: %s", event.worker.name, exc_info=error)
        kept = self._secure()
        from storyteller.tui.dialogs.trouble import Trouble

        self.push_screen(Trouble(describe(error), kept=kept))

    def _handle_exception(self, error: Exception) -> None:
        """A fault of ours in a handler: nothing can be trusted any more but the journal."""
        _log.critical("the app failed", exc_info=error)
        self._text_kept = self._secure()
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """One sentence on the terminal; the traceback, which would show the manuscript, is in the log without it."""
        error = self._exception
        what = describe(error) if error is not None else "an unknown error"
        sentence = _CRASHED.format(what, _KEPT if self._text_kept else _NOT_KEPT)
        self._exit_renderables[:] = [Text(display_text(sentence))]
        self._close_messages_no_wait()

    def end_by_signal(self, number: int) -> None:
        """The terminal or the system wants us gone: the text is in the journal before this returns."""
        _log.info("ending on signal %d", number)
        self._secure()
        self.exit(return_code=128 + number)

    def interrupt(self) -> None:
        """SIGINT from outside: what is being generated stops, nothing else does."""
        if self.room is not None:
            self.room.act("offer.stop")

    @on(AppFocus)
    def _looked_at_again(self) -> None:
        if self.room is not None:
            self.room.looked_at_again()

    @on(HungUp)
    def _hung_up(self) -> None:
        self.end_by_signal(1)

    @on(RepaintWanted)
    def _repaint(self) -> None:
        self.screen.refresh(repaint=True, layout=True, recompose=False)

    def _secure(self) -> bool:
        """Whether nothing would be lost now."""
        return self.room is None or self.room.secure()
