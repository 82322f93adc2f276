"""`storyteller adapters`: which are here, what they are, and mixing, merging and handing them on."""

from __future__ import annotations

import contextlib
from pathlib import Path  # noqa: TC003 - as below
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from storyteller.cli.confirm import confirmed
from storyteller.cli.engine import settings_with_notices
from storyteller.cli.options import ModelOption  # noqa: TC001 - typer reads the annotations
from storyteller.cli.streams import notice, output, output_rich
from storyteller.engine.catalogue import find_model
from storyteller.errors import AdapterError, UserError
from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from storyteller.engine.catalogue import Found
    from storyteller.training.adapters.shelf import Version

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, help=__doc__)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="An adapter's name.")]
VersionArgument = Annotated[str | None, typer.Argument(metavar="VERSION", help="Such as v0002.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Say it as JSON.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask again.")]


class AdapterLine(msgspec.Struct, frozen=True):
    """A version as `list --json` prints it: stable keys, one object a line."""

    name: str
    version: str
    path: str
    shipped: bool
    used: bool
    genre: str
    base: str
    rank: int | None
    perplexity_base: float | None
    perplexity_adapter: float | None
    created: str


@app.command("list")
def list_(
    *,
    model: ModelOption = None,
    every_base: Annotated[bool, typer.Option("--all", help="Those of other models too.")] = False,
    as_json: JsonOption = False,
) -> int:
    """List the adapters for the model, version by version; the one a name means has a star."""
    from storyteller.training.adapters.shelf import list_versions

    found = _model(model)
    lines = [_line(one) for one in list_versions(found.path, every_base=every_base)]
    if as_json:
        output("".join(msgspec.json.encode(line).decode() + "\n" for line in lines))
    elif lines:
        output_rich(_table(lines))
    else:
        notice(f"There are no adapters for {found.name} yet. `storyteller train --genre poetry` makes one.")
    return 0


@app.command()
def show(
    name: NameArgument,
    version: VersionArgument = None,
    *,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show an adapter's card: what it was trained on, and how well it does."""
    from storyteller.training.adapters.card import card_json, read_card, readme
    from storyteller.training.adapters.shelf import find_adapter

    folder = find_adapter(name, _model(model).path, version)
    card = read_card(folder)
    if card is None:
        raise AdapterError(f"{folder} has no card that can be read: it was made elsewhere.")
    output(card_json(card).decode() if as_json else f"{folder}\n\n{readme(card)}")
    return 0


@app.command()
def use(name: NameArgument, version: VersionArgument = None) -> int:
    """Let NAME mean this version from now on; the newest if none is named."""
    from storyteller.training.adapters import shelf

    with _disk_told():
        chosen = shelf.use(name, version)
    output(f"{name} {chosen}\n")
    return 0


@app.command()
def remove(name: NameArgument, version: VersionArgument = None, *, yes: YesOption = False) -> int:
    """Remove an adapter of your own, or one version of it. Shipped ones and what was put there by hand stay."""
    from storyteller.training.adapters import shelf

    with _disk_told():
        going = shelf.removable(name, version)
    listed = ", ".join(folder.name for folder in going)
    if not confirmed(f"Remove {name} ({listed})? It cannot be brought back.", yes=yes):
        return 0
    with _disk_told():
        gone = shelf.remove(name, version)
    output("".join(f"{folder}\n" for folder in gone))
    return 0


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An adapter in PEFT's layout.")],
    *,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call it; the folder's name if left out.")
    ] = None,
    genre: Annotated[str, typer.Option(metavar="NAME", help="The genre it writes.")] = "",
    model: ModelOption = None,
) -> int:
    """Take in an adapter that others made, once every setting and number of it was checked against the model."""
    from storyteller.training.adapters.shelf import check_name

    chosen = name if name is not None else folder.absolute().name
    check_name(chosen)
    if genre:
        check_name(genre)
    found = _model(model)
    from storyteller.training.adapters.intake import take_in

    with _disk_told():
        published = take_in(folder, chosen, found, genre=genre)
    output(f"{published}\n")
    return 0


@app.command()
def mix(
    parts: Annotated[
        list[str],
        typer.Argument(metavar="NAME[=WEIGHT]", help="An adapter, and how strong; 1 is as trained."),
    ],
    *,
    name: Annotated[str, typer.Option("--name", metavar="NEW", help="What to call the mix.")],
    model: ModelOption = None,
) -> int:
    """Make one adapter of several: exactly their weighted sum."""
    from storyteller.training.adapters.shelf import check_name

    check_name(name)
    weights = _weights(parts)
    found = _model(model)
    from storyteller.training.adapters.mixing import publish_mix

    with _disk_told():
        published = publish_mix(name, weights, found)
    output(f"{published}\n")
    return 0


@app.command()
def merge(
    name: NameArgument,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to; must not be there yet.")],
    model: ModelOption = None,
) -> int:
    """Write the model with the adapter in its weights: a plain Hugging Face folder in float32."""
    from storyteller.training.adapters.shelf import find_adapter

    found = _model(model)
    folder = find_adapter(name, found.path)
    from storyteller.training.adapters import merge as merging

    with _disk_told():
        merged = merging.merge(found.path, folder, out)
    output(f"{merged}\n")
    return 0


@app.command()
def export(
    name: NameArgument,
    *,
    gguf: Annotated[Path, typer.Option("--gguf", metavar="FILE", help="Where to; must not be there yet.")],
    dtype: Annotated[str, typer.Option(metavar="DTYPE", help="F32, F16, Q8_0 or Q4_0.")] = "F16",
    model: ModelOption = None,
) -> int:
    """Write the model with the adapter in its weights as one GGUF file, for llama.cpp and what is built on it."""
    from storyteller.training.adapters.shelf import find_adapter

    found = _model(model)
    folder = find_adapter(name, found.path)
    from storyteller.training.adapters.export import export_gguf

    with _disk_told():
        written = export_gguf(found.path, folder, gguf, dtype.upper())
    output(f"{written}\n")
    return 0


@contextlib.contextmanager
def _disk_told() -> Iterator[None]:
    """Say what the disk said as a person's error, not as a fault of the program."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise UserError(f"{where}{error.strerror or error}.", title="The files cannot be written") from error


def _model(wanted: str | None) -> Found:
    settings = settings_with_notices()
    return find_model(wanted or settings.model)


def _weights(parts: list[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in parts:
        name, separator, weight = part.partition("=")
        try:
            value = float(weight) if separator else 1.0
        except ValueError as error:
            raise AdapterError(
                f"{part[:80]!r}: a weight is a number such as 0.8; 1 is as trained."
            ) from error
        if name in weights:
            raise AdapterError(f"{name[:60]!r} is named twice.")
        weights[name] = value
    return weights


def _line(one: Version) -> AdapterLine:
    card = one.card
    return AdapterLine(
        name=one.name,
        version=one.version,
        path=str(one.path),
        shipped=one.shipped,
        used=one.used,
        genre=card.genre if card else "",
        base=card.base if card else "",
        rank=card.rank if card else None,
        perplexity_base=card.perplexity_base if card else None,
        perplexity_adapter=card.perplexity_adapter if card else None,
        created=card.created if card else "",
    )


def _table(lines: list[AdapterLine]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "adapter", "version", "genre", "base"):
        table.add_column(column)
    for column in ("rank", "perplexity before", "after"):
        table.add_column(column, justify="right")
    table.add_column("made")
    for line in lines:
        table.add_row(
            "*" if line.used else " ",
            Text(line.name, style="bold"),
            line.version or ("shipped" if line.shipped else "by hand"),
            Text(display_line(line.genre)),
            Text(display_line(line.base)),
            "" if line.rank is None else str(line.rank),
            *(
                "" if value is None else f"{value:.2f}"
                for value in (line.perplexity_base, line.perplexity_adapter)
            ),
            Text(display_line(line.created[:10])),
        )
    return table
