"""`storyteller corpus`: the texts a genre is learned from: registered, looked at, cleaned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from storyteller.atomic import write_atomic
from storyteller.cli.streams import notice, output, output_rich
from storyteller.disk import is_there
from storyteller.errors import CorpusError
from storyteller.genres import find_genre, load_genres
from storyteller.text import display_line, display_text
from storyteller.training.corpus import shelf
from storyteller.training.corpus.load import Corpus, load_corpus
from storyteller.training.corpus.report import Report  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="The texts a genre is learned from. Files stay where they are; only their paths are noted.",
)

GenreArgument = Annotated[
    str, typer.Argument(metavar="GENRE", help="A genre; see `storyteller genres list`.")
]
PathsArgument = Annotated[
    list[Path] | None, typer.Argument(metavar="PATH", help="Files and folders; the genre's own if left out.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]

_SAMPLES: Final = 3
_SAMPLE_LINES: Final = 4
_SAMPLE_WIDTH: Final = 100
_SKIPPED: Final = 12  # shown; --json has more


class SourceLine(msgspec.Struct, frozen=True):
    """A genre's source as `list --json` prints it."""

    genre: str
    path: str
    yours: bool
    there: bool


class Shown(msgspec.Struct, frozen=True):
    """A corpus as `show --json` prints it."""

    genre: str
    hash: str
    report: Report


@app.command()
def add(
    genre: GenreArgument,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Files or folders: .txt .md .py .jsonl .json .csv .tsv .parquet"
        ),
    ],
) -> int:
    """Read texts once, say what they amount to, and register them for a genre."""
    chosen = find_genre(genre)
    corpus = load_corpus(chosen, paths)
    known = shelf.add(chosen.name, paths)
    _print_report(corpus)
    folders = "place" if len(known) == 1 else "places"
    output(f"{chosen.name} learns from {len(known)} {folders} of yours.\n")
    return 0


@app.command()
def remove(genre: GenreArgument, paths: PathsArgument = None) -> int:
    """Forget paths of a genre, or all of them. No file is touched."""
    gone = shelf.remove(genre, paths or ())
    output("".join(f"{path} is forgotten.\n" for path in gone))
    return 0


@app.command("list")
def list_(*, as_json: JsonOption = False) -> int:
    """List the genres and where each one's texts are."""
    lines = [
        SourceLine(genre.name, str(path), bool(shelf.registered(genre.name)), is_there(path))
        for genre in load_genres().values()
        for path in shelf.sources(genre) or (Path(),)
    ]
    if as_json:
        output("".join(msgspec.json.encode(line).decode() + "\n" for line in lines if line.path != "."))
    else:
        output_rich(_sources_table(lines))
    return 0


@app.command()
def show(genre: GenreArgument, paths: PathsArgument = None, *, as_json: JsonOption = False) -> int:
    """Say what a genre's texts amount to, what was left out and why, and how three of them begin."""
    corpus = _load(genre, paths)
    if as_json:
        output(msgspec.json.encode(Shown(genre, corpus.hash, corpus.report)).decode() + "\n")
        return 0
    _print_report(corpus)
    for document in corpus.documents[:_SAMPLES]:
        title = f"  {document.title}" if document.title else ""
        output(f"\n{document.source}{title}\n")
        for line in document.text.split("\n")[:_SAMPLE_LINES]:
            cut = line if len(line) <= _SAMPLE_WIDTH else line[: _SAMPLE_WIDTH - 1] + "…"
            output(f"  {display_line(cut)}".rstrip() + "\n")
    return 0


@app.command()
def clean(
    genre: GenreArgument,
    paths: PathsArgument = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to; standard output if left out."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> int:
    """Write the texts as they are learned: cleaned, without duplicates, a {"title", "text"} a line."""
    if out is not None and is_there(out) and not force:
        raise CorpusError(f"{out} is there already; --force replaces it.", title="The texts were not written")
    corpus = _load(genre, paths)
    rows = (
        msgspec.json.encode({"title": document.title, "text": document.text}) + b"\n"
        for document in corpus.documents
    )
    if out is None:
        output(b"".join(rows).decode())
        return 0
    try:
        write_atomic(out, b"".join(rows))
    except OSError as error:
        raise CorpusError(
            f"{out} cannot be written ({error.strerror or error}).", title="The texts were not written"
        ) from error
    notice(f"{len(corpus.documents):,} documents are in {out}.")
    return 0


def _load(genre: str, paths: list[Path] | None) -> Corpus:
    chosen = find_genre(genre)
    return load_corpus(chosen, paths or shelf.sources(chosen))


def _print_report(corpus: Corpus) -> None:
    report = corpus.report
    counted = "" if report.tokens_counted else "about "
    facts = [
        ("documents", f"{report.documents:,} from {report.files:,} files"),
        ("size", f"{_bytes(report.bytes)}, {report.characters:,} characters, {report.words:,} words"),
        ("tokens", f"{counted}{report.tokens:,}"),
        ("lengths", f"{report.shortest:,} to {report.longest:,} characters, half under {report.median:,}"),
        ("longest line", f"{report.longest_line:,} characters"),
        ("language", report.language),
        (
            "duplicates",
            f"{report.exact_duplicates:,} exact and {report.near_duplicates:,} near ones left out",
        ),
    ]
    if report.blank:
        facts.append(("blank", f"{report.blank:,} left out"))
    output("".join(f"{name:<13}{fact}\n" for name, fact in facts))
    for skipped in report.skipped[:_SKIPPED]:
        rows = f" ({skipped.rows:,} rows)" if skipped.rows > 1 else ""
        output(display_text(f"left out     {skipped.source} {skipped.reason}{rows}\n"))
    more = len(report.skipped) - _SKIPPED + report.skipped_more
    if more > 0:
        output(f"left out     {more:,} more\n")
    for warning in report.warnings:
        notice(f"Warning: {warning}")


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1_000_000 else f"{size / 1e3:,.1f} kB"


def _sources_table(lines: list[SourceLine]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("genre")
    table.add_column("whose")
    table.add_column("texts", overflow="fold")
    for line in lines:
        missing = line.path == "."
        where = f"none; storyteller corpus add {line.genre} FOLDER" if missing else display_line(line.path)
        gone = "" if missing or line.there else " (not there)"
        whose = "" if missing else ("yours" if line.yours else "ships")
        table.add_row(Text(line.genre, style="bold"), whose, Text(where + gone))
    return table
