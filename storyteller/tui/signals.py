"""Signals while the room is open: a vanished terminal and a request to end are answered with the text safe on disk."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDING: Final = (signal.SIGHUP, signal.SIGTERM)


@contextmanager
def signals_answered(
    *, on_ending: Callable[[int], object], on_interrupt: Callable[[], object]
) -> Iterator[None]:
    """While inside, SIGHUP and SIGTERM call `on_ending` with their number, SIGINT calls `on_interrupt`; in the event loop.

    A SIGHUP that was ignored (`nohup`) is answered too: it comes when nobody can see or type any more.
    """
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, on_ending, number)
    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        for number in (*ENDING, signal.SIGINT):
            loop.remove_signal_handler(number)
