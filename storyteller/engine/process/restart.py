"""When a dead engine is started again, how long after, and how its end is put to the writer. Pure."""

from __future__ import annotations

import signal

QUICK_S = 20.0  # an engine that lived less than this died quickly
DELAYS_S = (
    0.1,
    1.0,
)  # before the restart after the first and the second quick death in a row; there is no third


class RestartPolicy:
    """Counts deaths: one that dies quickly three times in a row is not started again by itself."""

    def __init__(self) -> None:
        self._quick = 0

    def died(self, lived_s: float) -> float | None:
        """Seconds to wait before the next start, or None to leave it."""
        self._quick = self._quick + 1 if lived_s < QUICK_S else 0
        if self._quick > len(DELAYS_S):
            return None
        return DELAYS_S[max(self._quick, 1) - 1]

    def forget(self) -> None:
        """A new beginning: another model was asked for."""
        self._quick = 0


def obituary(code: int) -> str:
    """One sentence about a process that ended by itself with this return code (negative: a signal)."""
    if code == -signal.SIGKILL:
        return "The system ended it, most likely because memory ran out."
    if code < 0:
        try:
            name = signal.strsignal(-code) or f"signal {-code}"
        except ValueError:
            name = f"signal {-code}"
        return f"It was ended by the system: {name.lower()}."
    return f"It ended by itself, with code {code}."


def advice(code: int) -> str:
    """One sentence about what to do after that end."""
    if code == -signal.SIGKILL:
        return "Your text is untouched: ask again, or open a smaller model."
    return "Your text is untouched: ask again."
