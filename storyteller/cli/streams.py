"""What commands say: results on standard output, notices on standard error, nothing that could steer a terminal."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, TextIO

from storyteller.errors import StorytellerError, UserError
from storyteller.text import display_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType


_UNFOLDED: Final = 2000  # columns for a table in a file or pipe, so that no line is folded


class ReaderGone(Exception):  # noqa: N818 - not an error: `| head` has read enough
    """Nobody reads our output any more."""


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at `stream`; a closed one counts as no."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def fill_standard_descriptors() -> None:
    """Open the null device in place of a closed descriptor 0, 1 or 2.

    Else the next file opened, a manuscript or the library, gets that number, and whatever a native library
    prints goes into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def prepare_output() -> None:
    """Make standard output one that no character stops: where its encoding lacks one, `?` stands for it.

    Raises:
        UserError: it is closed.
    """
    if sys.stdout is None:
        raise UserError("Standard output is closed; give the command one.")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def output(text: str) -> None:
    """Write `text` to standard output now: as it is into a file or pipe, display-safe to a terminal.

    Raises:
        ReaderGone: the pipe's other end was closed.
        StorytellerError: it could not be written, for instance on a full disk.
    """
    _write(display_text(text) if is_terminal(sys.stdout) else text)


def output_rich(renderable: RenderableType) -> None:
    """Print a rich renderable: coloured and folded to fit on a terminal, plain and unfolded elsewhere.

    Its texts must be display-safe already.

    Raises:
        as `output`.
    """
    from rich.console import Console

    width = None if is_terminal(sys.stdout) else _UNFOLDED
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    with console.capture() as capture:
        console.print(renderable)
    _write("\n".join(line.rstrip() for line in capture.get().split("\n")))


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        forget_output()
        raise StorytellerError(
            f"standard output: {error.strerror or error}.", title="The text could not be written"
        ) from error


def told_while_read(tell: Callable[[Any], None]) -> Callable[[Any], None]:
    """`tell`, which writes what it is given, until nobody reads that any more: then nothing.

    For work that goes on without its audience: hours of training do not end with `| head`.
    """
    gone = False

    def listener(event: Any) -> None:
        nonlocal gone
        if gone:
            return
        try:
            tell(event)
        except ReaderGone:
            gone = True
            forget_output()

    return listener


def notice(text: str) -> None:
    """One line to standard error, display-safe; lost where standard error is closed."""
    try:
        if sys.stderr is not None:
            sys.stderr.write(display_text(text).rstrip("\n") + "\n")
            sys.stderr.flush()
    except (OSError, ValueError):
        return


def forget_output() -> None:
    """Let what is still buffered for a closed or full standard output go nowhere, so that exiting stays quiet."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return
