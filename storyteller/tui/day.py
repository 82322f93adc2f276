"""How many words were written today, over all documents: one small file, added to when a document is saved or closed."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from storyteller import paths
from storyteller.atomic import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger(__name__)


class _Day(msgspec.Struct, frozen=True):
    date: str
    words: int


class Tally:
    """The words of the day as one page shows them: those counted, and those since."""

    def __init__(self, words: int, today: Callable[[], date] = date.today) -> None:
        self._today = today
        self._words = words  # on the page when they were last counted
        self._read_day()

    def total(self, words: int) -> int:
        """The day's words, with `words` on the page; another day has those only that are not counted yet."""
        if self._today() != self._day:
            self._read_day()
        return self._counted + words - self._words

    def count(self, words: int) -> None:
        """Count what came since the last time, with `words` on the page."""
        add_words(words - self._words, self._today)
        self._words = words
        self._read_day()

    def pass_over(self, words: int) -> None:
        """There are `words` on the page now, and the difference was not written here."""
        self._words = words

    def _read_day(self) -> None:
        self._day = self._today()
        self._counted = words_today(self._today)


def day_path() -> Path:
    """Where the count is kept."""
    return paths.state_dir() / "today.json"


def words_today(today: Callable[[], date] = date.today) -> int:
    """The words counted so far today."""
    try:
        day = msgspec.json.decode(day_path().read_bytes(), type=_Day)
    except (OSError, msgspec.MsgspecError):
        return 0
    return day.words if day.date == today().isoformat() else 0


def add_words(words: int, today: Callable[[], date] = date.today) -> None:
    """Count `words` more, or fewer; a disk that refuses costs the count and nothing else."""
    if words == 0:
        return
    total = words_today(today) + words
    try:
        paths.private_dir(day_path().parent)
        write_atomic(day_path(), msgspec.json.encode(_Day(today().isoformat(), total)), mode=0o600)
    except OSError as error:
        _log.info("today's words were not counted: %s", error.strerror)
