"""One hierarchy of errors: each has a title, a message that says what to do next, and an exit code.

A writer sees `title: message`, never a traceback; the log file has the traceback.
"""

from __future__ import annotations


class StorytellerError(Exception):
    """Something went wrong that a person should be told about.

    Attributes:
        title: what happened, in a few words, without a full stop.
        message: one or two sentences: the particulars, and what to do next.
        exit_code: 2 where the user can mend it, 1 where the fault is ours or the machine's.
    """

    title: str = "storyteller cannot go on"
    exit_code: int = 1

    def __init__(self, message: str, *, title: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if title is not None:
            self.title = title

    def __str__(self) -> str:
        return f"{self.title}: {self.message}"


class UserError(StorytellerError):
    """The request cannot be carried out as given: a wrong option, value, file or setting."""

    title = "That cannot be done"
    exit_code = 2


class SettingsError(UserError):
    """A settings, preset, theme, key map or genre file holds something unusable."""

    title = "A setting cannot be used"


class DocumentError(UserError):
    """A manuscript cannot be opened, saved or recovered as asked."""

    title = "The manuscript cannot be opened"


class ModelError(UserError):
    """A model folder is missing, damaged, unsupported or refused."""

    title = "The model cannot be opened"


class AdapterError(UserError):
    """An adapter is missing, damaged, does not fit the model, or is refused."""

    title = "The adapter cannot be used"


class CorpusError(UserError):
    """Texts to learn from are missing, unreadable, or not enough."""

    title = "The corpus cannot be used"


class TrainingError(UserError):
    """A training run cannot begin, go on, or end as asked."""

    title = "The training cannot go on"


class LibraryError(StorytellerError):
    """The library database cannot be read or written."""

    title = "The library is not available"


class EngineError(StorytellerError):
    """The engine failed, or its process ended, while it served a request."""

    title = "The engine stopped"
