"""Textual's Linux driver, made to survive what terminals really send, and their disappearance.

Differences: input that is not UTF-8 is replaced instead of fatal (textual#6668); the end of input is a
hang-up instead of a busy loop; output goes through `Outlet`; a SIGCONT after a SIGSTOP repairs the
terminal instead of starting a second set of threads.
"""

from __future__ import annotations

import os
import selectors
import sys
import termios
from threading import Event
from typing import TYPE_CHECKING, Any, Final, cast

from textual import events
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from storyteller.tui.keystream import KeyStream, Pasted
from storyteller.tui.outlet import Outlet

if TYPE_CHECKING:
    from io import TextIOWrapper

    from textual.app import App

_READ: Final = 65536
_POLL_S: Final = 0.1
_PASTE_PATIENCE_S: Final = 1.0


_SAME_WITH_SHIFT: Final = {
    "shift+backspace": ("backspace", "\x7f"),
    "shift+enter": ("enter", "\r"),
    "shift+space": ("space", " "),
}


class HungUp(Message):
    """The terminal is gone: nobody reads and nobody types."""


class RepaintWanted(Message):
    """The terminal lost what was drawn."""


def without_shift(message: Message) -> Message:
    """Backspace, Enter and the space bar as they are without Shift, which is still held after a capital letter.

    Only terminals with the kitty protocol tell the difference.
    """
    if isinstance(message, events.Key) and message.key in _SAME_WITH_SHIFT:
        return events.Key(*_SAME_WITH_SHIFT[message.key])
    return message


class TerminalDriver(LinuxDriver):
    """The driver of the room."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        terminal = next(
            file for file in (sys.__stderr__, sys.__stdout__, sys.__stdin__) if file and file.isatty()
        )
        self._outlet = Outlet(
            terminal.fileno(),
            terminal.encoding or "utf-8",
            on_repaint=lambda: self.send_message(RepaintWanted()),
            on_gone=self._hang_up,
        )
        self._file = cast("TextIOWrapper", self._outlet)
        self._hung_up = Event()
        self._running = False
        self._raw_attributes: list[Any] | None = None

    # Output

    def start_application_mode(self) -> None:
        """Take the terminal over. Called again only after `stop_application_mode`."""
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual leaves it without annotations
        self._running = self._writer_thread is not None and self._writer_thread.is_alive()
        try:
            self._raw_attributes = termios.tcgetattr(self.fileno)
        except termios.error:
            self._raw_attributes = None

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was, every mode that was set included."""
        if not self._running:
            return
        self._running = False
        if self._mouse_pixels:
            self.write("\x1b[?1016l")
            self._mouse_pixels = False
        super().stop_application_mode()

    def _get_terminal_size(self) -> tuple[int, int]:
        """Columns and rows of the terminal written to; 80 by 25 where it will not say."""
        try:
            width, height = os.get_terminal_size(self._outlet.fileno())
        except OSError:
            width, height = 0, 0
        return width or 80, height or 25

    # Stopped and continued

    def _sigcont_application(self, *_: object) -> None:
        """Come back from a stop: from our own suspension, or from a SIGSTOP that nobody could prepare for."""
        if not self._running:
            super()._sigcont_application()
            return
        if self._raw_attributes is not None:
            try:
                termios.tcsetattr(self.fileno, termios.TCSANOW, self._raw_attributes)
            except termios.error:
                return
        self.write("\x1b[?1049h\x1b[?25l\x1b[?1004h\x1b[?7l")
        self._enable_mouse_support()
        self._enable_bracketed_paste()
        self.send_message(RepaintWanted())

    # Input

    def run_input_thread(self) -> None:
        """Read, split and parse until told to stop or the terminal hangs up."""
        parser = XTermParser(self._debug)
        stream = KeyStream()
        quiet = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                data = self._read() if selector.select(_POLL_S) else None
                if data == b"":
                    self._hang_up()
                    return
                quiet = 0.0 if data else quiet + _POLL_S
                if data:
                    self._dispatch(parser, stream.feed(data, full=len(data) >= 4095))  # what a pty hands out
                elif stream.pasting and quiet >= _PASTE_PATIENCE_S:
                    self._dispatch(parser, stream.end_paste())
                for message in parser.tick():
                    self.process_message(message)
        try:
            for _ in parser.feed(""):
                pass
        except (EOFError, ParseError):
            pass

    def process_message(self, message: Message) -> None:
        """Pass on what the parser understood."""
        super().process_message(without_shift(message))

    def _read(self) -> bytes | None:
        """What was typed; `b""` when the terminal is gone, None when there is nothing after all."""
        try:
            return os.read(self.fileno, _READ)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def _dispatch(self, parser: XTermParser, pieces: list[str | Pasted]) -> None:
        for piece in pieces:
            if isinstance(piece, Pasted):
                self.process_message(events.Paste(piece.text.replace("\x00", "")))
            else:
                for message in parser.feed(piece):
                    self.process_message(message)

    def _hang_up(self) -> None:
        """Tell the app once, from whichever thread noticed."""
        if not self._hung_up.is_set():
            self._hung_up.set()
            self.send_message(HungUp())
