"""What the engine's bench measures and reports: jobs for measuring processes, their answers, and medians over rounds."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Peer = Literal["transformers", "llama.cpp"]
Task = Literal["open", "decode", "bandwidth", "convert"]

OURS = "storyteller"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a measuring process is asked to do.

    Attributes:
        who: `storyteller` or a peer's name.
        dtype: ours, torch's, or GGUF's (`Q4_0`), as `who` calls it.
        threads: of the processor; 0 is the engine's own choice, which the peers follow.
        scratch: a folder that lasts as long as the run: converted weights are kept there.
    """

    task: Task
    who: str = OURS
    model: str
    device: str = "cpu"
    dtype: str = "auto"
    contexts: tuple[int, ...] = ()
    takes: tuple[int, ...] = (1,)
    tokens: int = 48
    threads: int = 0
    scratch: str = ""


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """A model that was opened with nothing of it cached, and where it came to run."""

    device: str
    device_name: str
    dtype: str
    window: int
    threads: int
    cold_load_s: float


class Row(msgspec.Struct, frozen=True, kw_only=True, tag="row"):
    """What one engine does at one context length.

    Attributes:
        who: `storyteller` or a peer's name.
        takes: written together.
        tokens_per_s: of all takes together, from the median time between steps.
        first_token_s: after a prompt of `context` tokens that nothing is known of.
        after_edit_s: after the same prompt with one token changed five before its end; None where that was not asked.
        bytes_per_token: what one take must read for one token; 0 where it is not known.
        bound_tokens_per_s: what the bandwidth measured in this run allows one take; 0 where it is not known.
        load_s: from a path to a model ready to be asked; imports not counted, caches of earlier runs there.
        open_s: the same and on to the first token of a prompt of 16.
        cold_load_s: `load_s` where nothing was cached.
        memory_gb: the most memory of its own the process ever held (Linux: RssAnon), or the GPU gave it. Files
            mapped from disk are not counted: the system takes those pages back when it needs them.
        resident_gb: the most it ever held, mapped files included.
        round: which of the run's rounds; -1 in medians.
    """

    who: str
    device: str
    dtype: str
    context: int
    takes: int
    tokens_per_s: float
    first_token_s: float
    after_edit_s: float | None = None
    bytes_per_token: float = 0.0
    bound_tokens_per_s: float = 0.0
    load_s: float = 0.0
    open_s: float = 0.0
    cold_load_s: float = 0.0
    memory_gb: float = 0.0
    resident_gb: float = 0.0
    round: int = 0

    @property
    def measured(self) -> tuple[str, str, str, int, int]:
        """What was measured: the same in every round."""
        return (self.who, self.device, self.dtype, self.context, self.takes)


class Bandwidth(msgspec.Struct, frozen=True, kw_only=True, tag="bandwidth"):
    """Bytes a second that reading memory in order reaches, with the threads the engine uses."""

    device: str
    bytes_per_s: float


class Converted(msgspec.Struct, frozen=True, kw_only=True, tag="converted"):
    """Weights in a peer's own file."""

    path: str


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that is to stay on one side of a limit; without a `limit` it is only told."""

    what: str
    value: float
    limit: float | None = None
    at_least: bool = True  # otherwise at most

    @property
    def met(self) -> bool:
        """Whether it holds."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        machine: what it ran on and with: names and versions.
        bandwidth: gigabytes a second, by device.
        rows: medians over the rounds.
        bounds: figures of several rows together, from each round by itself, then the median of those.
        rounds: every row as it was measured.
    """

    model: str
    machine: dict[str, str]
    bandwidth: dict[str, float]
    rows: tuple[Row, ...]
    bounds: tuple[Bound, ...]
    rounds: tuple[Row, ...]


Answer: TypeAlias = Opened | Row | Bandwidth | Converted


def medians(rows: Iterable[Row]) -> tuple[Row, ...]:
    """One row for all rounds of each measurement, every figure the median of its own."""
    together: dict[tuple[str, str, str, int, int], list[Row]] = {}
    for row in rows:
        together.setdefault(row.measured, []).append(row)
    return tuple(_median_row(group) for group in together.values())


def _median_row(rows: Sequence[Row]) -> Row:
    figures = {
        name: statistics.median(getattr(row, name) for row in rows)
        for name in Row.__struct_fields__
        if isinstance(getattr(rows[0], name), float)
    }
    return msgspec.structs.replace(rows[0], **figures, round=-1)


class Judged(Protocol):
    """A report with what its figures must reach."""

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """Every bound that this run could judge."""
        ...


_Report = TypeVar("_Report", bound=Judged)


def conclude(report: _Report, show: Callable[[_Report], None], *, as_json: bool) -> int:
    """Print `report`, by `show` or as JSON; the exit code, 1 where a bound is missed."""
    if as_json:
        print(json.dumps(msgspec.to_builtins(report), indent=1))
    else:
        show(report)
    return 0 if all(bound.met for bound in report.bounds) else 1
