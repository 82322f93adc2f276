"""A measuring process: one job on stdin, its answers on stdout, a JSON object a line. `python -m storyteller.bench.child`.

Every model is opened in a process of its own, so that load time and peak memory are its alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from storyteller.bench.figures import OURS, Answer, Job, Row
from storyteller.bench.machine import MemoryWatch
from storyteller.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def answers_of(job: Job, *, home: Path) -> list[Answer]:
    """What a fresh process finds out about `job`. The engine keeps its caches in `home`.

    Raises:
        EngineError: the process failed.
    """
    command = [sys.executable, "-m", "storyteller.bench.child"]
    environment = os.environ | {"STORYTELLER_HOME": str(home)}
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as child,
        MemoryWatch(child.pid) as watch,
    ):
        said, _ = child.communicate(msgspec.json.encode(job))
    if child.returncode:
        raise EngineError(
            f"Measuring {job.who} in {job.dtype} failed with exit code {child.returncode}; its messages are above."
        )
    answers: list[Answer] = [msgspec.json.decode(line, type=Answer) for line in said.splitlines()]
    return [
        msgspec.structs.replace(answer, memory_gb=answer.memory_gb or watch.peak_gb)
        if isinstance(answer, Row)
        else answer
        for answer in answers
    ]


def do(job: Job) -> Iterable[Answer]:
    """Do `job` in this process.

    Raises:
        ValueError: there is no such engine or task.
    """
    from storyteller.bench import ours, peers

    match job.task, job.who:
        case "open", _:
            return [ours.open_cold(job)]
        case "bandwidth", _:
            return [ours.measure_bandwidth(job)]
        case "convert", _:
            return [peers.convert(job)]
        case "decode", "transformers":
            return peers.measure_transformers(job)
        case "decode", "llama.cpp":
            return peers.measure_llama_cpp(job)
        case "decode", who if who == OURS:
            return ours.measure_ours(job)
        case task, who:
            raise ValueError(f"no such engine: {who} ({task})")


def main() -> None:
    """Do the job on stdin; one answer a line on stdout, and nothing else."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    answers = os.dup(1)
    os.dup2(2, 1)  # libraries talk on stdout
    with os.fdopen(answers, "wb") as out:
        for answer in do(job):
            out.write(msgspec.json.encode(answer) + b"\n")
            out.flush()


if __name__ == "__main__":
    main()
