"""Asks before something goes for good."""

from __future__ import annotations

import sys

import typer

from storyteller.cli.streams import is_terminal, notice
from storyteller.errors import UserError


def confirmed(question: str, *, yes: bool, alone: str = "There is nobody to ask.") -> bool:
    """Whether to remove what `question` is about; with `yes` it was said already.

    Args:
        question: what is asked.
        yes: nothing is.
        alone: what is said where nobody can answer.

    Raises:
        UserError: nobody is at a terminal to be asked.
    """
    if yes:
        return True
    if not is_terminal(sys.stdin):
        raise UserError(f"{alone} Give --yes if you are sure.")
    if typer.confirm(question, err=True):
        return True
    notice("Nothing was removed.")
    return False
