"""`storyteller bench`: measures the engine and the screen on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, help=__doc__)


@app.command()
def ui(
    *,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|FOLDER", help="Stream from this model, not from a paced stand-in."),
    ] = None,
    samples: Annotated[int, typer.Option(min=5, max=10_000, help="Keys of each kind.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> int:
    """Measure how soon a key is on screen while a take streams into 100,000 words. Exit code 1 past the bound."""
    from storyteller.bench import ui as bench

    return bench.main(as_json=as_json, model=model, samples=samples)
