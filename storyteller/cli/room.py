"""`storyteller [FILE]`: opens the room."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from storyteller.cli.options import (  # noqa: TC001 - typer reads the annotations
    AdapterOption,
    DeviceOption,
    DtypeOption,
    ModelOption,
    ThreadsOption,
)
from storyteller.cli.sections import SectionedCommand
from storyteller.cli.terminal import inspect_terminal, why_no_room
from storyteller.config import Settings, changed
from storyteller.errors import UserError
from storyteller.genres import find_genre

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(cls=SectionedCommand)
def room(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="A text to write in; a new one if it does not exist."),
    ] = None,
    *,
    genre: Annotated[str | None, typer.Option(metavar="NAME", help="The genre to write in.")] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sampler settings by name, instead of the genre's.")
    ] = None,
    theme: Annotated[
        str | None, typer.Option(metavar="NAME", help="lamplight, paper, or another theme's name.")
    ] = None,
    model: ModelOption = None,
    adapter: AdapterOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    threads: ThreadsOption = None,
) -> int:
    """Open the room: a full-screen editor in which the model writes on when you press Tab."""
    _check_file(file)
    _check_options(genre=genre, preset=preset, theme=theme, device=device, dtype=dtype, threads=threads)
    problem = why_no_room(inspect_terminal())
    if problem:
        raise UserError(
            f"{problem} `storyteller continue FILE` writes on without one, also in a pipe.",
            title="The room cannot open here",
        )
    from storyteller.tui.run import Options, run

    options = Options(
        model=model,
        adapters=tuple(adapter or ()),
        genre=genre,
        preset=preset,
        theme=theme,
        device=device,
        dtype=dtype,
        threads=threads,
    )
    return run(Path(file) if file is not None else None, options)


def _check_options(**given: object) -> None:
    """Refuse here, where it can still be said on one line, what the room would refuse."""
    changed(Settings(), **given)
    if given["genre"]:
        find_genre(str(given["genre"]))
    if given["preset"]:
        from storyteller.engine.presets import find_preset

        find_preset(str(given["preset"]))


def _check_file(file: str | None) -> None:
    """Catch what was meant otherwise: a pipe, an empty name, a command with a slip in it."""
    from storyteller.cli.app import COMMANDS

    if file is None:
        return
    if file == "-":
        raise UserError("The room opens a file, not a pipe; `storyteller continue -` writes on from a pipe.")
    if not file:
        raise UserError("The file's name is empty. Give it one, or none at all for a new page.")
    near = get_close_matches(file, COMMANDS, n=1, cutoff=0.75)
    if near and not Path(file).exists():
        raise UserError(
            f"There is no file {file}. Perhaps `storyteller {near[0]}`? A new file of that name: "
            f"`storyteller ./{file}`.",
            title="No such file or command",
        )
