"""The room as a program of its own with a scripted engine, for tests that need a real terminal.

`python -m tests.stubs.room_program DOCUMENT [--fault handler|worker] [--text TEXT] [--pace SECONDS]`
With a fault, F8 meets a bug whose exception quotes the manuscript.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from storyteller.engine.fake import FakeEngine
from storyteller.tui.prompter import Prompter
from storyteller.tui.run import Options, run
from storyteller.tui.stream import Stream

SENTENCE = " The lamp burned low, and outside the rain went on as if it had been paid to."
SECRET = "SECRET [/red] words of the manuscript"


def _fault(*_: object, **__: object) -> NoReturn:
    raise ValueError(SECRET)


def main() -> int:
    """Run the room; returns its exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("document", type=Path)
    parser.add_argument("--fault", choices=("handler", "worker"))
    parser.add_argument("--text", default=SENTENCE)
    parser.add_argument("--pace", type=float, default=0.01)
    arguments = parser.parse_args()
    if arguments.fault == "handler":
        Prompter.step = _fault  # type: ignore[method-assign]
    if arguments.fault == "worker":
        Stream.run = _fault_later  # type: ignore[method-assign, assignment]
    return run(arguments.document, Options(), engine=FakeEngine([arguments.text], pace=arguments.pace))


async def _fault_later(_: Stream) -> NoReturn:
    _fault()


if __name__ == "__main__":
    raise SystemExit(main())
