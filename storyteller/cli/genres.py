"""`storyteller genres`: which there are, and one more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from storyteller.cli.streams import output, output_rich
from storyteller.engine.presets import find_preset
from storyteller.genres import add_genre, genres_path, load_genres
from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from storyteller.genres import Genre

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="The genres to write in: how each is written, and how texts of it are learned.",
)


@app.command("list")
def list_(
    *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a genre.")] = False
) -> int:
    """List the genres that ship and your own."""
    genres = load_genres().values()
    if as_json:
        output("".join(msgspec.json.encode(genre).decode() + "\n" for genre in genres))
    else:
        output_rich(_table(genres))
    return 0


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits, - and _.")],
    *,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="What the screen says.")] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="The sampler settings it starts with.")
    ] = None,
    prompt_hint: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Shown to the model before the page.")
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(metavar="NAME", help="The corpus that ships to learn from, e.g. stories.")
    ] = None,
    keep_line_breaks: Annotated[
        bool, typer.Option("--keep-line-breaks", help="A line break is part of the text: verse, code.")
    ] = False,
    keep_indentation: Annotated[
        bool, typer.Option("--keep-indentation", help="Leading blanks mean something: verse, code.")
    ] = False,
    fragments: Annotated[
        bool, typer.Option("--fragments", help="Texts are no whole pieces; their ends are not learned.")
    ] = False,
) -> int:
    """Add a genre of your own to genres.toml."""
    fields: dict[str, object] = {
        "title": title,
        "preset": preset and find_preset(preset).name,
        "prompt_hint": prompt_hint,
        "corpus": corpus,
        "keep_line_breaks": keep_line_breaks or None,
        "keep_indentation": keep_indentation or None,
        "end_documents": False if fragments else None,
    }
    genre = add_genre(name, **{field: value for field, value in fields.items() if value is not None})
    output(f"{genre.name} is in {genres_path()}. Texts for it: storyteller corpus add {genre.name} FOLDER\n")
    return 0


def _table(genres: Iterable[Genre]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("genre", "title", "preset", "corpus", "texts"):
        table.add_column(column)
    for genre in genres:
        kept = {
            "line breaks kept": genre.keep_line_breaks,
            "indentation kept": genre.keep_indentation,
            "fragments": not genre.end_documents,
        }
        rules = ", ".join(rule for rule, holds in kept.items() if holds) or "paragraphs"
        cells = (genre.title, genre.preset, genre.corpus, rules)
        table.add_row(Text(genre.name, style="bold"), *(Text(display_line(cell)) for cell in cells))
    return table
