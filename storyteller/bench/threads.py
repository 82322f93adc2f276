"""What the model's threads cost the writer: keys on screen and tokens a second with every core, and with one left free."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from storyteller.bench.machine import cores
from storyteller.bench.ui import BOUND_MS, Report, bench_ui, meets_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence


class Measured(msgspec.Struct, frozen=True):
    """A number of threads and what came of it; 0 is the engine's own choice."""

    threads: int
    screen: Report


def bench_threads(
    model: str,
    *,
    dtype: str = "auto",
    samples: int = 60,
    counts: Sequence[int] = (),
) -> tuple[Measured, ...]:
    """Type over streams of `model` with each number of threads.

    Args:
        model: a name or a folder.
        dtype: of the model.
        samples: keys of each kind.
        counts: numbers of threads; without them the engine's choice, all cores, and all but one.

    Raises:
        UserError: the terminal emulator this measures with is not installed.
        StorytellerError: the room did not come up or a key never showed.
    """
    every = cores()
    chosen = counts or tuple(dict.fromkeys((0, every, max(1, every - 1))))
    return tuple(
        Measured(threads, bench_ui(model=model, dtype=dtype, samples=samples, threads=threads))
        for threads in chosen
    )


def main(
    model: str,
    *,
    dtype: str = "auto",
    samples: int = 60,
    counts: Sequence[int] = (),
    as_json: bool = False,
) -> int:
    """Print what was measured. Returns 1 where the engine's own choice, if it was measured, misses the bound."""
    measured = bench_threads(model, dtype=dtype, samples=samples, counts=counts)
    if as_json:
        print(json.dumps(msgspec.to_builtins(measured)))
    else:
        _print(measured)
    return 0 if all(meets_bounds(one.screen) for one in measured if one.threads == 0) else 1


def _print(measured: Sequence[Measured]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"keys to screen while a model streams; bound {BOUND_MS:g} ms at p95", box=None)
    for column in ("threads", "keys", "median ms", "p95 ms", "worst ms", "tok/s"):
        table.add_column(column, justify="left" if column == "keys" else "right")
    for one in measured:
        for row in one.screen.keys:
            table.add_row(
                str(one.threads) if one.threads else "its choice",
                row.keys,
                f"{row.median_ms:.1f}",
                f"{row.p95_ms:.1f}",
                f"{row.worst_ms:.1f}",
                f"{one.screen.tokens_per_s:g}",
            )
    Console().print(table)
