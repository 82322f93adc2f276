"""What the engine's process does to itself before anything heavy is imported, so that it can harm nobody.

It keeps its pipes to itself, leaves the terminal alone, dies with its parent and before it when memory runs out.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from storyteller.engine.process.log import open_log

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_OOM_STEP = 500  # of 1000, above the app's own score


def take_pipes() -> tuple[int, int]:
    """Move stdin and stdout out of everyone's reach and point descriptors 0, 1 and 2 elsewhere.

    Afterwards 0 is `/dev/null` and 1 and 2 are the log, for native libraries and whoever prints; the two
    descriptors returned, for reading requests and writing events, are not inherited by other programs.
    """
    requests, events = os.dup(0), os.dup(1)
    nothing, log = os.open(os.devnull, os.O_RDONLY), open_log()
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)
    return requests, events


def leave_signals_to_the_app() -> None:
    """Ctrl-C belongs to the app; SIGTERM ends this process at once, whatever the parent had set."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def die_with_parent() -> None:
    """Have Linux kill this process when its parent goes, even in the middle of a decode that holds the interpreter.

    Elsewhere, and where the parent is gone already, the end of stdin says so.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def die_first() -> None:
    """Offer this process to the out-of-memory killer before the app that holds the unsaved text."""
    score = Path("/proc/self/oom_score_adj")
    with suppress(OSError, ValueError):
        inherited = int(score.read_text(encoding="ascii"))
        score.write_text(str(min(1000, inherited + _OOM_STEP)), encoding="ascii")
