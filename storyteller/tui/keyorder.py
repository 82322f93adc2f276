"""Keys take effect in the order they were pressed.

Textual answers bindings with priority in the app's queue while plain keys wait in the focused widget's: a Tab
right behind a letter would ask the model before the letter is on the page. Other bindings it answers when the key
has come back up through the widgets: a letter right behind Backspace would be there before anything is deleted.
So the app waits for the widget, and answers bindings itself. Keys come in one piece where a line is slow.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from textual.widgets import Input, TextArea

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

TAKE_LETTERS: Final = (TextArea, Input)
"""Widgets for which a letter is a letter, whatever else it may be bound to."""

_PATIENCE_S: Final = 0.5  # a widget that waits for the app itself must not hold it up


async def caught_up(widget: MessagePump) -> None:
    """Return once `widget` has dealt with everything it was sent until now, or after half a second."""
    done = asyncio.Event()
    if widget.call_later(done.set):
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await done.wait()
        except TimeoutError:
            return
