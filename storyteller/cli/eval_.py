"""`storyteller eval`: how good a model's text is, in figures."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - as below
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer

from storyteller.cli.engine import settings_with_notices
from storyteller.cli.eval_likelihood import lambada, perplexity
from storyteller.cli.eval_sampled import diversity, memorisation
from storyteller.cli.options import ModelOption, ThreadsOption  # noqa: TC001 - typer reads the annotations
from storyteller.cli.sections import SectionedCommand
from storyteller.cli.source import read_text
from storyteller.cli.streams import output, output_rich
from storyteller.config import Settings, changed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.engine.protocol import Dtype
    from storyteller.evaluation.quantisation import Quality

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, help=__doc__)


@app.callback()
def _group() -> None:
    """How good a model's text is, in figures."""


for _command in (perplexity, lambada, diversity, memorisation):
    app.command(cls=SectionedCommand)(_command)


@app.command(cls=SectionedCommand)
def quantisation(
    *,
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read this; else a text that ships with the program.")
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(metavar="DTYPE", help="Beside float32: bfloat16, int8 and int4 if left out. Repeat."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a dtype.")] = False,
    model: ModelOption = None,
    threads: ThreadsOption = None,
) -> int:
    """Measure what a model loses in fewer bits. Exit code 1 if int8 or int4 loses more than it may."""
    from storyteller.engine.catalogue import find_model
    from storyteller.evaluation.quantisation import compare, meets_bounds
    from storyteller.paths import bundled_dir

    settings = settings_with_notices()
    for name in dtype or ():
        changed(Settings(), dtype=name)
    words = read_text(str(text or bundled_dir() / "assets" / "eval" / "held-out.txt"))
    wanted = cast("tuple[Dtype, ...]", tuple(dtype or ("bfloat16", "int8", "int4")))
    rows = []
    found = find_model(model or settings.model)
    for row in compare(
        found.path, words, dtypes=wanted, threads=settings.threads if threads is None else threads
    ):
        rows.append(row)
        if as_json:
            output(msgspec.json.encode(row).decode() + "\n")
    if not as_json:
        _print(rows)
    return 0 if meets_bounds(rows) else 1


def _print(rows: Sequence[Quality]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("dtype", no_wrap=True)
    for heading in ("bits", "MB a token", "perplexity", "worse", "same token", "divergence"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.dtype, f"{row.bits:.2f}", f"{row.megabytes:.1f}", f"{row.perplexity:.2f}", f"{row.worse:+.2%}",
            f"{row.agreement:.1%}", f"{row.divergence:.4f}",
        )  # fmt: skip
    output_rich(table)
