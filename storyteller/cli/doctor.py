"""`storyteller doctor`: what was found on this machine, and what is amiss. Changes nothing, fetches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from storyteller.cli.diagnosis import Diagnosis, Place, diagnose
from storyteller.cli.streams import output, output_rich
from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Group
    from rich.table import Table

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object with stable keys.")] = False
) -> int:
    """Show which device, model, adapters, terminal and directories there are, and why this model opens."""
    found = diagnose()
    if as_json:
        output(msgspec.json.encode(found).decode() + "\n")
    else:
        output_rich(_page(found))
    return 0


def _page(found: Diagnosis) -> Group:
    from rich.console import Group
    from rich.text import Text

    parts: list[Text | Table] = []
    for title, rows in _sections(found):
        parts += [Text(title, style="bold"), _table(rows), Text("")]
    parts += [Text("Amiss" if found.problems else "Nothing is amiss.", style="bold")]
    parts += [Text(f"  ! {display_line(problem)}", style="yellow") for problem in found.problems]
    return Group(*parts)


def _table(rows: list[tuple[str, str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=16, no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(f"  {display_line(name)}"), Text(display_line(value)))
    return table


def _sections(found: Diagnosis) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    engine, terminal = found.engine, found.terminal
    yield (
        f"storyteller {found.version}",
        [("python", f"{found.python} on {found.platform}")]
        + [(name, version or "not installed") for name, version in found.libraries.items()],
    )
    yield (
        "Engine",
        [
            ("device", engine.device_name),
            ("dtype", engine.dtype),
            ("threads", str(engine.threads)),
            ("compiled step", engine.compiled_step),
            ("model", f"{engine.model}  {engine.model_path}"),
            ("why", engine.reason),
            ("adapters", ", ".join(engine.adapters) or "none"),
        ],
    )
    yield (
        "Terminal",
        [
            ("TERM", terminal.term or "not set"),
            ("size", f"{terminal.columns} x {terminal.rows}"),
            ("colours", terminal.colours),
            ("encoding", terminal.encoding),
            ("within", ", ".join(filter(None, [terminal.multiplexer, "ssh" if terminal.ssh else ""])) or "-"),
            ("the room", found.room),
        ],
    )
    free = min(place.free_bytes for place in found.directories)
    yield (
        "Directories",
        [(place.what, f"{place.path}{_state(place)}") for place in found.directories]
        + [("settings file", found.settings), ("free space", f"{free / 1e9:.1f} GB")],
    )
    yield "Library", [("file", found.library), ("logging", found.consent)]


def _state(place: Place) -> str:
    if not place.writable:
        return "  (cannot be written)"
    return "" if place.exists else "  (not made yet)"
