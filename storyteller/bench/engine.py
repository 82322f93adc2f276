"""How fast the engine writes on this machine: beside what its memory allows, and beside other engines in the same run.

In every round each model is opened, asked and closed again, ours and its peers by turns, so that whatever else the
machine does hurts all of them; of each figure the median counts.
"""

from __future__ import annotations

import platform
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from storyteller.bench.bounds import judged, peer_dtype
from storyteller.bench.child import answers_of
from storyteller.bench.figures import (
    OURS,
    Answer,
    Bandwidth,
    Job,
    Opened,
    Peer,
    Report,
    Row,
    conclude,
    medians,
)
from storyteller.bench.machine import processor
from storyteller.bench.tables import print_report
from storyteller.engine.protocol import Dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Measure = Callable[[Job], Sequence[Answer]]

ALL_DTYPES = tuple(dtype for dtype in get_args(Dtype) if dtype != "auto")
_HOME = "home"  # of the measuring processes
_PACKAGES = ("storyteller", "torch", "transformers", "llama-cpp-python")


@dataclass(frozen=True)
class Plan:
    """What a run measures.

    Attributes:
        devices: as `Load.device`.
        dtypes: ours; a peer is measured in its own that corresponds.
        tokens: written each time.
        takes: of ours, written together.
        rounds: in each of which everything is measured once.
        threads: of the processor, for all engines; 0 is ours to choose.
    """

    model: Path
    devices: Sequence[str] = ("auto",)
    dtypes: Sequence[str] = ("auto",)
    contexts: Sequence[int] = (256, 900)
    peers: Sequence[Peer] = ()
    tokens: int = 48
    takes: Sequence[int] = (1, 2, 4)
    rounds: int = 3
    threads: int = 0


def bench_engine(plan: Plan, *, measure: Measure | None = None) -> Report:
    """Measure what `plan` says.

    Args:
        plan: what to measure.
        measure: answers a job; without it a fresh process does, with a home that lasts as long as the run.

    Raises:
        EngineError: a measuring process failed.
    """
    with tempfile.TemporaryDirectory(prefix="storyteller-bench-") as folder:
        scratch = Path(folder)
        return _Run(plan, scratch, measure or partial(answers_of, home=scratch / _HOME)).report()


def main(plan: Plan, *, as_json: bool = False) -> int:
    """Measure and print. Returns 1 where a bound is missed that this run could judge."""
    return conclude(bench_engine(plan), print_report, as_json=as_json)


class _Run:
    """One run of the bench."""

    def __init__(self, plan: Plan, scratch: Path, measure: Measure) -> None:
        self._plan = plan
        self._scratch = scratch
        self._measure = measure

    def report(self) -> Report:
        """Open every model once with nothing cached, then measure round after round."""
        opened = self._open_all()
        jobs = self._jobs(opened)
        devices = dict.fromkeys(model.device for model in opened)
        read: dict[str, list[float]] = {device: [] for device in devices}
        rows: list[Row] = []
        for number in range(self._plan.rounds):
            for device in devices:
                read[device] += [answer.bytes_per_s for answer in self._bandwidth(device)]
            for job in jobs if number % 2 == 0 else jobs[::-1]:
                self._tell(f"round {number + 1} of {self._plan.rounds}: {job.who} {job.dtype}")
                rows += [
                    msgspec.structs.replace(answer, round=number)
                    for answer in self._measure(job)
                    if isinstance(answer, Row)
                ]
        bandwidth = {device: statistics.median(figures) for device, figures in read.items()}
        cold = {(model.device, model.dtype): model.cold_load_s for model in opened}
        rows = [_completed(row, bandwidth, cold) for row in rows]
        return Report(
            model=self._plan.model.name,
            machine=_machine(opened),
            bandwidth={device: figure / 1e9 for device, figure in bandwidth.items()},
            rows=medians(rows),
            bounds=judged(rows),
            rounds=tuple(rows),
        )

    def _open_all(self) -> list[Opened]:
        """Ours in every dtype, on every device."""
        found: dict[tuple[str, str], Opened] = {}
        for device in self._plan.devices:
            for dtype in self._plan.dtypes:
                self._tell(f"opening {self._plan.model.name} in {dtype} on {device}, nothing cached")
                job = self._job(task="open", device=device, dtype=dtype)
                # The compiled step of the one before.
                shutil.rmtree(self._scratch / _HOME / "cache" / "native", ignore_errors=True)
                for answer in self._measure(job):
                    if isinstance(answer, Opened):
                        found.setdefault((answer.device, answer.dtype), answer)
        return list(found.values())

    def _jobs(self, opened: Sequence[Opened]) -> list[Job]:
        """What is measured in each round: each of ours, and its peers after it."""
        jobs: dict[tuple[str, str, str], Job] = {}
        for model in opened:
            contexts = tuple(n for n in self._plan.contexts if n + self._plan.tokens <= model.window)
            rivals = [(peer, peer_dtype(peer, model.dtype, model.device)) for peer in self._plan.peers]
            for who, dtype in ((OURS, model.dtype), *rivals):
                if dtype is None:
                    self._tell(f"{who} has nothing to set beside {model.dtype} on {model.device}")
                    continue
                if (who, model.device, dtype) in jobs:
                    continue
                jobs[who, model.device, dtype] = self._job(
                    task="decode",
                    who=who,
                    device=model.device,
                    dtype=dtype,
                    contexts=contexts,
                    takes=tuple(self._plan.takes) if who == OURS else (1,),
                )
                if who == "llama.cpp":
                    self._tell(f"converting {self._plan.model.name} to {dtype} for llama.cpp")
                    self._measure(self._job(task="convert", who=who, dtype=dtype))
        return list(jobs.values())

    def _bandwidth(self, device: str) -> list[Bandwidth]:
        answers = self._measure(self._job(task="bandwidth", device=device))
        return [answer for answer in answers if isinstance(answer, Bandwidth)]

    def _job(self, **fields: object) -> Job:
        given = {
            "model": str(self._plan.model),
            "tokens": self._plan.tokens,
            "threads": self._plan.threads,
            "scratch": str(self._scratch),
        }
        return msgspec.convert(given | fields, Job)

    def _tell(self, sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)


def _completed(row: Row, bandwidth: dict[str, float], cold: dict[tuple[str, str], float]) -> Row:
    """`row` with what other processes of the run found out."""
    bound = bandwidth[row.device] / row.bytes_per_token if row.bytes_per_token else 0.0
    loaded = cold.get((row.device, row.dtype), 0.0) if row.who == OURS else 0.0
    return msgspec.structs.replace(row, bound_tokens_per_s=bound, cold_load_s=loaded)


def _machine(opened: Sequence[Opened]) -> dict[str, str]:
    """What the figures were made on and with."""
    machine = {"processor": processor(), "system": platform.platform(), "python": platform.python_version()}
    for model in opened:
        machine["threads"] = str(model.threads)
        if model.device != "cpu":
            machine[model.device] = model.device_name
    for package in _PACKAGES:
        try:
            machine[package] = version(package)
        except PackageNotFoundError:
            continue
    return machine
