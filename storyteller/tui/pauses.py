"""When an offer may come by itself: after a pause, and ever more rarely where offers are refused. Pure."""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 5  # refusals in a row that double the delay
LIMIT: Final = 10  # refusals in a row that silence it for a while
SILENCE_S: Final = 30.0


class Pauses:
    """Counts refusals; says how long a pause must be. Seconds of a clock that does not jump."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._refused = 0
        self._silent_until = 0.0

    def refused(self, now: float) -> None:
        """An offer was refused or written past."""
        self._refused += 1
        if self._refused >= LIMIT:
            self._silent_until = now + SILENCE_S
            self._refused = PATIENCE

    def accepted(self) -> None:
        """Some of an offer was kept."""
        self._refused = 0

    def delay(self, now: float) -> float:
        """How long the writer must have paused."""
        delay = self._delay_s * (2 if self._refused >= PATIENCE else 1)
        return max(delay, self._silent_until - now)


def may_offer(line_before_caret: str) -> bool:
    """Not in headings, and not before anything was written."""
    return bool(line_before_caret.strip()) and not line_before_caret.lstrip().startswith("#")
