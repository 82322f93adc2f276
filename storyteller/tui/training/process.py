"""Starts `storyteller train` as a process of its own, which outlives the app, and asks it what it would do."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from storyteller.engine.process.child import child_environment
from storyteller.errors import TrainingError
from storyteller.paths import private_dir
from storyteller.training.events import Planned, Said, from_line
from storyteller.tui.training.words import last_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from storyteller.training.run_folder import RunFolder

_NICER: Final = ("-n", "10")  # typing and Tab come before training
_TOLD: Final = 2_000  # bytes of what it said on stderr that are read


def train_command() -> tuple[str, ...]:
    """How training is started. `-P`: a `random.py` in the writer's folder is not ours to import."""
    return (sys.executable, "-P", "-m", "storyteller", "train")


def messages_path(folder: RunFolder) -> Path:
    """What the process says on stderr: why it could not begin."""
    return folder.path / "messages.log"


def start(command: Sequence[str], folder: RunFolder, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Begin a run in a session of its own. Its events are in its file, not in a pipe that would end with the app.

    Raises:
        TrainingError: it cannot be started.
    """
    nice = shutil.which("nice")
    whole = [*((nice, *_NICER) if nice else ()), *command, "--genre", folder.genre, "--json", *arguments]
    try:
        private_dir(folder.path)
        folder.wish("go")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        messages = os.open(messages_path(folder), flags, 0o600)
        try:
            return subprocess.Popen(
                whole,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                start_new_session=True,
                env=child_environment(),
            )
        finally:
            os.close(messages)
    except OSError as error:
        raise TrainingError(f"Training cannot be started ({error.strerror or error}).") from error


def told(folder: RunFolder) -> str:
    """The end of what the process said on stderr."""
    try:
        with messages_path(folder).open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TOLD))
            return last_lines(stream.read(_TOLD).decode("utf-8", "replace"))
    except OSError:
        return ""


async def dry_run(command: Sequence[str], genre: str, arguments: Sequence[str]) -> tuple[Planned, list[str]]:
    """What a run would do, and what the writer should know before; cancelled, its process ends.

    Raises:
        TrainingError: it cannot be done; the message is the process's own.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            "--genre",
            genre,
            "--json",
            "--dry-run",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=child_environment(),
        )
    except OSError as error:
        raise TrainingError(f"Training cannot be started ({error.strerror or error}).") from error
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    events = [event for line in out.splitlines() if (event := from_line(line)) is not None]
    planned = next((event for event in reversed(events) if isinstance(event, Planned)), None)
    if planned is None:
        why = last_lines(err.decode("utf-8", "replace"))
        raise TrainingError(why or "Training said nothing about what it would do.")
    said = [event.message for event in events if isinstance(event, Said)]
    return planned, [*planned.warnings, *(message for message in said if message not in planned.warnings)]
