"""What the terminal can do, and whether the room can open in it."""

from __future__ import annotations

import locale
import os
import shutil
import sys
from typing import TYPE_CHECKING

import msgspec

from storyteller.cli.streams import is_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping


class Terminal(msgspec.Struct, frozen=True):
    """The terminal as this process sees it."""

    term: str
    colours: str
    columns: int
    rows: int
    input_is_terminal: bool
    output_is_terminal: bool
    encoding: str
    unicode: bool
    multiplexer: str
    ssh: bool


def inspect_terminal(environment: Mapping[str, str] = os.environ) -> Terminal:
    """What there is to know without asking the terminal itself."""
    columns, rows = shutil.get_terminal_size()
    encoding = getattr(sys.stdout, "encoding", None) or locale.getpreferredencoding(do_setlocale=False)
    return Terminal(
        term=environment.get("TERM", ""),
        colours=_colours(environment),
        columns=columns,
        rows=rows,
        input_is_terminal=is_terminal(sys.stdin),
        output_is_terminal=is_terminal(sys.stdout),
        encoding=encoding,
        unicode=encoding.lower().replace("-", "").startswith("utf"),
        multiplexer=_multiplexer(environment),
        ssh=bool(environment.get("SSH_CONNECTION") or environment.get("SSH_TTY")),
    )


def why_no_room(terminal: Terminal) -> str | None:
    """Why the room cannot open in `terminal`, in one sentence; None where it can."""
    if not (terminal.input_is_terminal and terminal.output_is_terminal):
        return "The room needs a terminal for its input and its output."
    if terminal.term in {"", "dumb", "unknown"}:
        shown = f"TERM is {terminal.term}" if terminal.term else "TERM is not set"
        return f"The room needs a terminal that can place text; {shown}."
    return None


def _colours(environment: Mapping[str, str]) -> str:
    if environment.get("NO_COLOR"):
        return "none (NO_COLOR)"
    if environment.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return "16 million"
    term = environment.get("TERM", "")
    if "256color" in term or "direct" in term:
        return "256"
    return "none" if term in {"", "dumb", "unknown"} else "16"


def _multiplexer(environment: Mapping[str, str]) -> str:
    if environment.get("TMUX"):
        return "tmux"
    if environment.get("STY"):
        return "screen"
    return "zellij" if environment.get("ZELLIJ") else ""
