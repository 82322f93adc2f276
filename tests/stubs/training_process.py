"""`storyteller train` as processes of their own that can be killed, forked from one that has imported torch already."""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import TYPE_CHECKING, Self

import pytest

from storyteller.training.events import read_events
from storyteller.training.run_folder import RunFolder
from tests.stubs.command import wait_until
from tests.stubs.tiny_training import without_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storyteller.training.events import AnyEvent

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["peft", "transformers.models.gpt2.modeling_gpt2", "storyteller.cli.train", "storyteller.training.run"]
)
# As a shell has them; the process that forks keeps those it was started with.
_ENVIRONMENT = ("STORYTELLER_HOME", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "STORYTELLER_COMPILE")


class TrainingProcess:
    """A process that runs `storyteller train --genre poetry OPTIONS --json`; it is killed at the end of the block."""

    def __init__(self, options: Sequence[str], output: Path) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT}
        self.output = output
        self._folder = RunFolder("poetry")
        self._process = _FORKS.Process(target=_train, args=(environment, list(options), str(output)))

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def events(self) -> list[AnyEvent]:
        """What the run said up to now, as another process reads it."""
        return [event for _, event in read_events(self._folder.events)]

    def wait_for(self, happened: Callable[[list[AnyEvent]], bool]) -> bool:
        """Until it said so, or it ended; whether it said so."""
        wait_until(lambda: happened(self.events) or not self._process.is_alive())
        return happened(self.events)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join()

    def wait(self) -> int | None:
        """Its exit code, once it ended by itself."""
        self._process.join(60)
        return self._process.exitcode


def _train(environment: dict[str, str], options: list[str], output: str) -> None:
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8")
    from storyteller.cli.app import run

    without_samples(pytest.MonkeyPatch())
    code = run(["train", "--genre", "poetry", *options, "--json"])
    sys.stdout.flush()
    os._exit(code)
