"""Exceptions as events and back: what one process raises, the other raises too."""

from __future__ import annotations

from storyteller.engine.protocol import Failed
from storyteller.errors import EngineError, StorytellerError, UserError


def failed(error: StorytellerError, request_id: str | None) -> Failed:
    """`error` as the event that reports it."""
    return Failed(id=request_id, title=error.title, message=error.message, exit_code=error.exit_code)


def error_of(failed: Failed) -> StorytellerError:
    """The exception that a `Failed` event stands for: the user's to mend, or the engine's."""
    kind = UserError if failed.exit_code == UserError.exit_code else EngineError
    return kind(failed.message, title=failed.title)
