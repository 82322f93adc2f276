"""The text a command works on: a file's, or what comes through a pipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from storyteller.cli.streams import is_terminal, notice
from storyteller.errors import DocumentError, UserError

_LIMIT: Final = 64 * 1024 * 1024  # bytes; a long novel is one


def read_text(source: str | None) -> str:
    r"""The text of the file `source`, or of standard input for `-` and None, with `\n` line ends.

    Bytes that are no text in the encoding found become U+FFFD: the model is to read this, not to keep it.

    Raises:
        DocumentError: the file cannot be read.
        UserError: standard input is closed or endless.
    """
    text = _standard_input() if source in {None, "-"} else _file(Path(str(source)))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def without_final_newline(text: str) -> str:
    """`text` without the one newline that ends a text file: `echo` and editors add it, and it is not the writer's."""
    return text.removesuffix("\n")


def _file(path: Path) -> str:
    from storyteller.manuscript.load import load

    loaded = load(path)
    if loaded.fingerprint is None:
        raise DocumentError(f"There is no file {path}. Check the name, or pipe the text in.")
    return loaded.text


def _standard_input() -> str:
    from storyteller.manuscript.encoding import decode

    if sys.stdin is None:
        raise UserError("Standard input is closed; name a file or pipe a text in.")
    if is_terminal(sys.stdin):
        notice("Reading from the terminal; Ctrl+D ends the text.")
    data = sys.stdin.buffer.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise UserError(f"Standard input is over {_LIMIT >> 20} MB; pipe a shorter text in.")
    return decode(data)[0]
