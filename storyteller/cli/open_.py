"""`storyteller [OPTIONS] [FILE]`: the room, with options over the settings."""

from __future__ import annotations

from typing import Annotated

import typer

from storyteller.cli.options import (  # noqa: TC001 - typer reads the annotations
    AdapterOption,
    DeviceOption,
    DtypeOption,
    ModelOption,
    ThreadsOption,
)
from storyteller.cli.room import open_room
from storyteller.cli.sections import SectionedCommand
from storyteller.config import Settings, changed
from storyteller.genres import find_genre

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(cls=SectionedCommand)
def open_(
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
    _check_options(genre=genre, preset=preset, theme=theme, device=device, dtype=dtype, threads=threads)
    from storyteller.tui.run import Options

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
    return open_room(file, options)


def _check_options(**given: object) -> None:
    """Refuse here, where it can still be said on one line, what the room would refuse."""
    changed(Settings(), **given)
    if given["genre"]:
        find_genre(str(given["genre"]))
    if given["preset"]:
        from storyteller.engine.presets import find_preset

        find_preset(str(given["preset"]))
