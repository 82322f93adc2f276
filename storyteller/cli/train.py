"""`storyteller train`: a genre learned from texts, as an adapter beside the model."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storyteller.cli.engine import find_wanted, settings_with_notices
from storyteller.cli.fetch_texts import texts_at
from storyteller.cli.interruption import INTERRUPTED, interruptible
from storyteller.cli.learned_from import Manuscripts, kept_spans, manuscripts, withdrawal
from storyteller.cli.options import (
    RUN,
    DeviceOption,
    DryRunOption,
    DtypeOption,
    JsonEventsOption,
    SaveEveryOption,
    ThreadsOption,
)
from storyteller.cli.sections import SectionedCommand
from storyteller.cli.streams import output, told_while_read
from storyteller.cli.training_view import JsonView, TrainingView
from storyteller.config import changed
from storyteller.errors import TrainingError
from storyteller.genres import check_name, find_genre
from storyteller.text import display_line
from storyteller.training.corpus.load import load_corpus
from storyteller.training.corpus.shelf import sources
from storyteller.training.events import Said, Stopped
from storyteller.training.run_folder import RunFolder
from storyteller.training.settings import Wanted, check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storyteller.training.corpus.report import Report
    from storyteller.training.preparation import Request

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_LEARNING = "Learning"


@app.command(cls=SectionedCommand)
def train(
    *,
    genre: Annotated[str, typer.Option(metavar="NAME", help="The genre; see `storyteller genres list`.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH|OWNER/NAME",
            help="Files, folders or data sets to learn from, instead of the genre's. Repeat.",
        ),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Fetch data sets that --data names from the Hugging Face hub.")
    ] = False,
    base: Annotated[
        str | None, typer.Option(metavar="NAME|FOLDER", help="The model to learn beside.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the adapter is called; the genre if left out.")
    ] = None,
    rank: Annotated[int, typer.Option(rich_help_panel=_LEARNING, help="Of the low-rank products.")] = 16,
    alpha: Annotated[
        float, typer.Option(rich_help_panel=_LEARNING, help="They are multiplied by alpha over rank.")
    ] = 32.0,
    dropout: Annotated[float, typer.Option(rich_help_panel=_LEARNING, help="Of their inputs.")] = 0.05,
    rate: Annotated[
        float | None, typer.Option(rich_help_panel=_LEARNING, help="The highest learning rate.")
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(rich_help_panel=_LEARNING, help="How often each text is read.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(rich_help_panel=_LEARNING, help="Steps, instead of epochs.")
    ] = None,
    batch: Annotated[int, typer.Option(rich_help_panel=_LEARNING, help="Sequences a step.")] = 8,
    micro_batch: Annotated[
        int | None,
        typer.Option(rich_help_panel=_LEARNING, help="Sequences at once: less memory, same result."),
    ] = None,
    seq: Annotated[int | None, typer.Option(rich_help_panel=_LEARNING, help="Tokens a sequence.")] = None,
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            rich_help_panel=_LEARNING,
            help="End after so many measurements without a better one; 0: never.",
        ),
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, rich_help_panel=_LEARNING, help="Same seed, same adapter.")] = 0,
    quantize: Annotated[
        str | None,
        typer.Option(
            metavar="8bit|4bit",
            rich_help_panel=_LEARNING,
            help="Hold the base in fewer bits, by bitsandbytes.",
        ),
    ] = None,
    optimizer: Annotated[
        str, typer.Option(metavar="adamw|adamw8bit", rich_help_panel=_LEARNING, help="What takes the steps.")
    ] = "adamw",
    recompute: Annotated[
        bool, typer.Option("--recompute", rich_help_panel=_LEARNING, help="Less memory, a third more time.")
    ] = False,
    from_feedback: Annotated[
        bool, typer.Option("--from-feedback", help="Learn from what you accepted and kept, too.")
    ] = False,
    include_manuscripts: Annotated[
        bool,
        typer.Option(
            "--include-manuscripts",
            help="Learn from what you wrote yourself in your manuscripts of this genre, too.",
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", rich_help_panel=RUN, help="Go on with the genre's unfinished run.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", rich_help_panel=RUN, help="Throw its unfinished run away.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonEventsOption = False,
    save_every: SaveEveryOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    threads: ThreadsOption = None,
) -> int:
    """Learn a genre: train a LoRA adapter on its texts, and put it to use once it was checked.

    Ctrl-C saves and stops, so that --resume goes on; twice, it ends at once. Perplexity is of texts that were held out.
    """
    wanted = Wanted(
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        rate=rate,
        epochs=epochs,
        steps=steps,
        batch=batch,
        micro_batch=micro_batch,
        seq=seq,
        patience=patience,
        seed=seed,
        quantise=_one_of("--quantize", quantize, ("8bit", "4bit")),
        optimiser=_one_of("--optimizer", optimizer, ("adamw", "adamw8bit")) or "adamw",
        recompute=recompute,
    )
    check(wanted)
    if resume and restart:
        raise TrainingError("--resume goes on with a run and --restart throws it away; choose one.")
    settings = settings_with_notices()
    kind = find_genre(genre)
    if name is not None:
        check_name(name)
    chosen = changed(settings, device=device, dtype=_trained_in(dtype), threads=threads)
    found = find_wanted(base, settings)
    own = manuscripts(kind) if include_manuscripts else Manuscripts()
    named = texts_at(data or sources(kind), online=online)
    corpus = load_corpus(kind, (*named, *own.paths), texts=own.paths, instead=own.own)
    unread = _unread(corpus.report, (*named, *own.paths))
    kept = kept_spans(kind, record=not dry_run) if from_feedback else None
    from storyteller.training.preparation import Request

    request = Request(
        genre=kind,
        name=name or kind.name,
        found=found,
        documents=corpus.documents,
        wanted=wanted,
        device=chosen.device,
        dtype=chosen.dtype,
        threads=chosen.threads,
        warnings=(*own.remarks(unread), *unread.values(), *corpus.report.warnings),
        kept_spans=b"" if kept is None else kept.data,
        datasets=() if kept is None else (kept.hash,),
        withdrawn=withdrawal(kept),
        save_every=save_every,
    )
    return _run(request, as_json=as_json, dry_run=dry_run, resume=resume, restart=restart)


def _unread(report: Report, named: Iterable[Path]) -> dict[str, str]:
    """Of files that were named one by one, what is to be said of those that were left out, by their names."""
    names = {display_line(path.name) for path in named if not path.is_dir()}
    return {
        skipped.source: f"{skipped.source} {skipped.reason}; nothing is learned of it."
        for skipped in report.skipped
        if skipped.source in names and not skipped.rows
    }


def _run(request: Request, *, as_json: bool, dry_run: bool, resume: bool, restart: bool) -> int:
    from storyteller.training.preparation import Preparation
    from storyteller.training.run import run_training

    view = JsonView(output) if as_json else TrainingView()
    if dry_run:
        plan = Preparation(request).plan()
        view.tell(plan)
        for warning in plan.warnings if as_json else ():
            view.tell(Said(message=warning))
        return 0
    with view, interruptible() as interrupted:
        ended = run_training(
            request,
            RunFolder(request.genre.name),
            told_while_read(view.tell),
            interrupted=interrupted,
            resume=resume,
            restart=restart,
        )
    return INTERRUPTED if isinstance(ended, Stopped) else 0


def _trained_in(dtype: str | None) -> str | None:
    """`dtype` as it was asked for, if a model can learn in it."""
    if dtype in {"int8", "int4"}:
        bits = dtype.removeprefix("int")
        raise TrainingError(
            f"--dtype {dtype} is for writing; --quantize {bits}bit holds the base in so many bits."
        )
    if dtype == "float16":
        raise TrainingError("--dtype float16 is for writing; learn in bfloat16 or float32.")
    return dtype


def _one_of(option: str, value: str | None, allowed: tuple[str, ...]) -> Any:
    if value is not None and value not in allowed:
        raise TrainingError(f"{option} is {value[:40]!r}; use {' or '.join(allowed)}.")
    return value
