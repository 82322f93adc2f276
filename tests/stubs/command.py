"""`storyteller` as a shell runs it: a process of its own, with pipes or files for its streams."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from storyteller.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COMMAND = (sys.executable, "-m", "storyteller")
TIMEOUT_S = 90


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment with `changes`; None takes a variable away."""
    changed = {**os.environ, **{name: value for name, value in changes.items() if value is not None}}
    return {name: value for name, value in changed.items() if changes.get(name, "") is not None}


def storyteller(
    *arguments: str | bytes, stdin: bytes = b"", env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run `storyteller ARGUMENTS` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=None if "stdin_file" in options else stdin,
        stdin=options.pop("stdin_file", None),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        env=env or environment(),
        timeout=TIMEOUT_S,
        check=False,
        **options,
    )


class Ended(NamedTuple):
    """What a command that ran in this process left."""

    code: int
    out: str
    err: str


def in_process(*arguments: str, stdin: bytes = b"") -> Ended:
    """As `storyteller`, with pipes, but in this process: no second to import torch again."""
    with pytest.MonkeyPatch.context() as patch:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        patch.setattr(
            "storyteller.cli.app.go_offline", lambda: None
        )  # this process's switches are the tests'
        code = run(arguments)
        return Ended(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def wait_until(happened: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether something outside this process, which tells nobody, happens in time."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
