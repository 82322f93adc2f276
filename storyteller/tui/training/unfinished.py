"""The question before another run takes the place of one that did not end."""

from __future__ import annotations

from storyteller.tui.dialogs.choice import Answer, Choice


def unfinished_run(genre: str) -> Choice:
    """Asks whether to `resume` the run of `genre` that is there, or to `restart`."""
    return Choice(
        f"An unfinished run of {genre} is here",
        "It can go on from its last checkpoint. Another run begins anew and throws it away.",
        [Answer("resume", "r", "go on with it"), Answer("restart", "n", "begin anew")],
        leave="leave it as it is",
    )
