"""The program's log file: what happened and where it broke, never a word of the manuscript."""

from __future__ import annotations

import logging
import os
import traceback
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Final

from storyteller import paths
from storyteller.errors import StorytellerError

if TYPE_CHECKING:
    from types import TracebackType

_SIZE: Final = 512 * 1024
_FORMAT: Final = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"
# The messages of other exceptions may quote what was being worked on.
_SPEAKS_OF_CODE: Final = (StorytellerError, OSError, ImportError, NameError, AttributeError, RuntimeError)


class WordlessFormatter(logging.Formatter):
    """Formats tracebacks with frames and types; an exception's message only where it cannot quote a text."""

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The traceback of `ei`, its causes included, without values."""
        parts: list[str] = []
        error = ei[1]
        while error is not None:
            frames = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{frames}{describe(error)}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\ncaused by\n".join(parts)


def describe(error: BaseException) -> str:
    """The type of `error`, with its message where that cannot quote a manuscript."""
    name = type(error).__name__
    if isinstance(error, UnicodeError) or not isinstance(error, _SPEAKS_OF_CODE):
        return name
    return f"{name}: {error}"


def set_up_log(*, debug: bool = False) -> str | None:
    """Send the program's log to its file, readable by its owner alone; one sentence if that is not possible."""
    folder, warning = paths.private_dir_or_temporary(paths.log_path().parent)
    path = folder / paths.log_path().name
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600))
        handler = RotatingFileHandler(path, maxBytes=_SIZE, backupCount=2, encoding="utf-8", errors="replace")
    except OSError as error:
        return f"No log is kept: {path} cannot be written ({error.strerror})."
    handler.setFormatter(WordlessFormatter(_FORMAT))
    logger = logging.getLogger("storyteller")
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False
    return warning
