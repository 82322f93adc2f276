"""The engine bench's report, as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.bench.figures import Bound, Report, Row

_LEGEND = (
    "bound: share of what the memory's bandwidth allows. first: seconds to the first token of an unknown prompt; "
    "edit: of one with a word changed five tokens before its end. open: seconds from a path to the first token, "
    "once its files are cached; cold: until it is ready, with nothing cached. memory: the most GB of its own the "
    "process held, mapped files not counted."
)


def print_report(report: Report) -> None:
    """The rows, then every bound and whether it holds, on stdout."""
    console = Console()
    console.print(rows_table(report.rows))
    read = ", ".join(f"{device} {figure:.0f} GB/s" for device, figure in report.bandwidth.items())
    console.print(
        f"\n{report.model} on {report.machine['processor']}; memory is read at {read}.", style="dim"
    )
    console.print(f"{_LEGEND}\n", style="dim")
    if report.bounds:
        console.print(bounds_table(report.bounds))


def rows_table(rows: Sequence[Row]) -> Table:
    """A line for each engine, length and number of takes."""
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("engine", no_wrap=True)
    for heading in ("length", "takes", "tok/s", "bound", "first", "edit", "open", "cold", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    several = len({row.device for row in rows}) > 1
    for row in rows:
        name = f"{row.who} {row.dtype}"
        table.add_row(
            f"{name} {row.device}" if several else name,
            str(row.context),
            str(row.takes),
            f"{row.tokens_per_s:.1f}",
            f"{row.tokens_per_s / row.bound_tokens_per_s:.0%}" if row.bound_tokens_per_s else "",
            f"{row.first_token_s:.3f}",
            "" if row.after_edit_s is None else f"{row.after_edit_s:.3f}",
            f"{row.open_s:.1f}",
            f"{row.cold_load_s:.1f}" if row.cold_load_s else "",
            f"{row.memory_gb:.2f}",
        )
    return table


def bounds_table(bounds: Sequence[Bound]) -> Table:
    """A line for each comparison: its figure, what it must be, and whether it is."""
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("compared")
    for heading in ("is", "must be", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for bound in bounds:
        if bound.limit is None:
            limit, verdict = "", ""
        else:
            limit = f"{'≥' if bound.at_least else '≤'} {bound.limit:g}"
            verdict = "pass" if bound.met else "FAIL"
        table.add_row(bound.what, f"{bound.value:.2f}", limit, verdict)
    return table
