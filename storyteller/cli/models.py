"""`storyteller models`: which are here, where, whole or not; and fetching one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from storyteller.cli.engine import settings_with_notices
from storyteller.cli.streams import notice, output, output_rich
from storyteller.engine.catalogue import find_adapters, find_model, list_models, locate
from storyteller.engine.model_folder import check_folder, read_config, weight_files
from storyteller.errors import ModelError
from storyteller.text import display_line

if TYPE_CHECKING:
    from rich.table import Table

    from storyteller.engine.catalogue import Found

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Which models are here, and fetching one.",
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A model's name or folder.")]


class ModelLine(msgspec.Struct, frozen=True):
    """A model as `list --json` prints it: stable keys, one object a line."""

    name: str
    path: str
    where: str
    layers: int
    width: int
    context: int
    bytes: int
    opens: bool
    problem: str
    default: bool
    adapters: tuple[str, ...]


@app.command("list")
def list_(
    *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a model.")] = False
) -> int:
    """List the models on this machine; the one that opens by itself has a star."""
    settings = settings_with_notices()
    try:
        chosen = find_model(settings.model)
    except ModelError as error:
        notice(error.message)
        chosen = find_model(None)
    lines = [_line(found, chosen) for found in list_models()]
    if as_json:
        output("".join(msgspec.json.encode(line).decode() + "\n" for line in lines))
    else:
        output_rich(_table(lines))
    return 0


@app.command()
def path(name: NameArgument) -> int:
    """Print the folder of a model."""
    output(f"{locate(name).path}\n")
    return 0


@app.command()
def get(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="gpt2-large, gpt2-medium, or OWNER/NAME on the hub.")
    ],
    *,
    revision: Annotated[
        str | None, typer.Option(metavar="NAME", help="A branch, tag or commit; the newest if left out.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Compare a model that is here with the hub; fetch what differs.")
    ] = False,
) -> int:
    """Fetch a GPT-2 from the Hugging Face hub; an interrupted fetch goes on where it stopped.

    No other command uses the network, but for `train --online`.
    """
    from storyteller.cli.fetch import fetch

    folder = fetch(name, revision, again=again)
    output(f"{folder}\n")
    return 0


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Models to check; all of them if none is named."),
    ] = None,
) -> int:
    """Read every byte of a model and compare it with the hashes noted when it was fetched."""
    from storyteller.cli.verification import verify_folder

    folders = [locate(name).path for name in names] if names else [found.path for found in list_models()]
    failures = 0
    for folder in folders:
        output(f"{folder}\n")
        for line in verify_folder(folder):
            output(f"  {line.text}\n")
            failures += not line.good
    if failures:
        count = "one file is" if failures == 1 else f"{failures} files are"
        raise ModelError(
            f"{count} not as fetched, see above. `storyteller models get NAME --again` mends one.",
            title="A model is damaged",
        )
    return 0


def _line(found: Found, chosen: Found) -> ModelLine:
    try:
        check_folder(found.path)
        problem = "" if weight_files(found.path) else "only pickle weights, which are never opened"
        adapters = tuple(find_adapters(found.path))
    except ModelError as error:
        problem, adapters = error.message, ()
    config: dict[str, Any] = read_config(found.path)
    return ModelLine(
        name=found.name,
        path=str(found.path),
        where=found.reason,
        layers=_number(config.get("n_layer")),
        width=_number(config.get("n_embd")),
        context=_number(config.get("n_positions")),
        bytes=sum(file.stat().st_size for file in found.path.glob("*.safetensors")),
        opens=not problem,
        problem=problem,
        default=found.path == chosen.path,
        adapters=adapters,
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _table(lines: list[ModelLine]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "model", "shape"):
        table.add_column(column)
    table.add_column("size", justify="right")
    table.add_column("where", overflow="fold")
    for line in lines:
        where = line.where if line.opens else f"cannot be opened: {line.problem}"
        adapters = f"\nadapters: {', '.join(line.adapters)}" if line.adapters else ""
        table.add_row(
            "*" if line.default else " ",
            Text(display_line(line.name), style="bold"),
            f"{line.layers} x {line.width}, {line.context} tokens",
            f"{line.bytes / 1e6:,.0f} MB",
            Text(f"{display_line(where)}\n{display_line(line.path)}{display_line(adapters)}"),
        )
    return table
