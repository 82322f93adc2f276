"""`storyteller pretrain`: a small model of one's own, from a recipe and texts to a folder that any GPT-2 program opens."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from storyteller.cli.interruption import INTERRUPTED, interruptible
from storyteller.cli.options import (
    RUN,
    DeviceOption,
    DryRunOption,
    JsonEventsOption,
    SaveEveryOption,
)
from storyteller.cli.pretraining_view import PretrainingView
from storyteller.cli.sections import SectionedCommand
from storyteller.cli.streams import output, told_while_read
from storyteller.cli.training_view import JsonView
from storyteller.paths import state_dir
from storyteller.training.events import Stopped
from storyteller.training.pretraining.recipe import changed, data_folder, load_recipe

if TYPE_CHECKING:
    from storyteller.training.pretraining.planning import Request

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_LEARNING = "Learning"


@app.command(cls=SectionedCommand)
def pretrain(
    *,
    recipe: Annotated[
        Path,
        typer.Option(metavar="FILE", help="What to train and from what; assets/starter/recipe.toml is one."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where its sources are; the recipe says it if left out."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="For tokens, checkpoints and events; among the program's own if left out."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the model goes; `model` in the run's folder if left out."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(rich_help_panel=_LEARNING, help="How long, by the clock.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(rich_help_panel=_LEARNING, help="How long, by the tokens read.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=_LEARNING,
            help="A model to go on from, with its shape and tokenizer.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(rich_help_panel=_LEARNING, help="Of the first weights and the order of texts."),
    ] = None,
    megabytes: Annotated[
        float | None, typer.Option(rich_help_panel=_LEARNING, help="Of text at most, for a trial.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", rich_help_panel=RUN, help="Go on from the last checkpoint in --run.")
    ] = False,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", rich_help_panel=RUN, help="Make the tokens, and end.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonEventsOption = False,
    save_every: SaveEveryOption = None,
    device: DeviceOption = None,
) -> int:
    """Train a GPT-2 from nothing: clean the texts, train a tokenizer, train the network, write a plain model folder.

    What is prepared is not prepared again. Ctrl-C saves and stops, so that --resume goes on, for longer too if --minutes
    or --tokens say so. Several GPUs: torchrun --nproc-per-node N -m -- storyteller pretrain …
    """
    chosen = changed(load_recipe(recipe), minutes=minutes, tokens=tokens, megabytes=megabytes, seed=seed)
    folder = run if run is not None else state_dir() / "pretraining" / chosen.name
    from storyteller.training.pretraining.planning import Request

    request = Request(
        recipe=chosen,
        data=data_folder(chosen, recipe, data),
        run=folder,
        out=out if out is not None else folder / "model",
        start=start,
        device=device or "auto",
        save_every=save_every,
    )
    return _run(request, as_json=as_json, dry_run=dry_run, resume=resume, only_prepare=prepare_only)


def _run(request: Request, *, as_json: bool, dry_run: bool, resume: bool, only_prepare: bool) -> int:
    from storyteller.training.pretraining.planning import Plan
    from storyteller.training.pretraining.run import run_pretraining

    view = JsonView(output) if as_json else PretrainingView()
    if dry_run:
        view.tell(Plan(request).in_words())
        return 0
    with view, interruptible() as interrupted:
        ended = run_pretraining(
            request,
            told_while_read(view.tell),
            interrupted=interrupted,
            resume=resume,
            only_prepare=only_prepare,
        )
    return INTERRUPTED if isinstance(ended, Stopped) else 0
