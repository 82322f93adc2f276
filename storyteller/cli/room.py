"""Opens the room where it can be opened. No typer here: `storyteller FILE` must be on screen within half a second."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from storyteller.cli.terminal import inspect_terminal, why_no_room
from storyteller.errors import UserError

if TYPE_CHECKING:
    from storyteller.tui.run import Options


def open_room(file: str | None, options: Options | None = None) -> int:
    """Open the room on `file`, or on a page without a name, and return the exit code.

    Raises:
        UserError: there is no terminal to open it in, or `file` cannot be what was meant.
    """
    _check_file(file)
    problem = why_no_room(inspect_terminal())
    if problem:
        raise UserError(
            f"{problem} `storyteller continue FILE` writes on without one, also in a pipe.",
            title="The room cannot open here",
        )
    from storyteller.tui.run import Options, run

    return run(Path(file) if file is not None else None, options or Options())


def _check_file(file: str | None) -> None:
    """Catch what was meant otherwise: a pipe, an empty name, a command with a slip in it."""
    from storyteller.cli.app import COMMANDS

    if file is None:
        return
    if file == "-":
        raise UserError("The room opens a file, not a pipe; `storyteller continue -` writes on from a pipe.")
    if not file:
        raise UserError("The file's name is empty. Give it one, or none at all for a new page.")
    near = get_close_matches(file, COMMANDS, n=1, cutoff=0.75)
    if near and not Path(file).exists():
        raise UserError(
            f"There is no file {file}. Perhaps `storyteller {near[0]}`? A new file of that name: "
            f"`storyteller ./{file}`.",
            title="No such file or command",
        )
