"""`storyteller bench`: measures the engine and the screen on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import typer

from storyteller.cli.engine import settings_with_notices
from storyteller.cli.options import (  # noqa: TC001 - typer reads them
    DeviceOption,
    DtypeOption,
    ModelOption,
    ThreadsOption,
)
from storyteller.cli.sections import SectionedCommand
from storyteller.config import Settings, changed
from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from storyteller.bench.figures import Peer

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, help=__doc__)
_SAMPLES = typer.Option(min=5, max=10_000, metavar="N", help="Keys of each kind.")
_ShapeOption = Annotated[
    str | None,
    typer.Option(
        "--shape",
        metavar="SHAPE",
        rich_help_panel="Model",
        help="Random weights instead, as of `bench engine`.",
    ),
]


@app.command(cls=SectionedCommand)
def engine(
    *,
    context: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="N", help="Tokens of prompt: 256 and 900 if left out. Repeat for more."),
    ] = None,
    tokens: Annotated[
        int, typer.Option(min=8, max=1000, metavar="N", help="Tokens to write each time.")
    ] = 48,
    rounds: Annotated[
        int, typer.Option(min=1, max=100, metavar="N", help="Times everything is measured; medians count.")
    ] = 3,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Measure it by turns with ours: transformers, llama.cpp. Repeat."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    model: ModelOption = None,
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="SHAPE",
            rich_help_panel="Model",
            help="Random weights instead: gpt2, gpt2-medium, gpt2-large or gpt2-xl, kept in the cache directory.",
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEVICE", rich_help_panel="Model", help="As elsewhere; all: every one here. Repeat."
        ),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(metavar="DTYPE", rich_help_panel="Model", help="As elsewhere; all: every one. Repeat."),
    ] = None,
    threads: ThreadsOption = None,
) -> int:
    """Measure decoding, first tokens, an edit, loading and memory. Exit code 1 if a bound that was judged is missed."""
    from storyteller.bench import engine as bench

    settings = settings_with_notices()
    settings = changed(settings, threads=threads)
    plan = bench.Plan(
        model=_model(model, shape, settings),
        devices=_devices(device or [settings.device]),
        dtypes=_dtypes(dtype or [settings.dtype]),
        contexts=context or (256, 900),
        peers=_peers(peer or ()),
        tokens=tokens,
        rounds=rounds,
        threads=settings.threads,
    )
    return bench.main(plan, as_json=as_json)


@app.command(cls=SectionedCommand)
def ui(
    *,
    samples: Annotated[int, _SAMPLES] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER",
            rich_help_panel="Model",
            help="Stream from this model, not from a paced stand-in.",
        ),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="DTYPE", rich_help_panel="Model", help="Of the model.")
    ] = None,
    threads: ThreadsOption = None,
) -> int:
    """Measure how soon a key is on screen while a take streams into 100,000 words. Exit code 1 past the bound."""
    from storyteller.bench import ui as bench

    chosen = changed(Settings(), dtype=dtype, threads=threads)
    folder = None if model is None else str(_model(model, None, Settings()))
    return bench.main(
        as_json=as_json, model=folder, samples=samples, dtype=chosen.dtype, threads=chosen.threads
    )


@app.command(cls=SectionedCommand)
def threads(
    *,
    count: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            metavar="N",
            help="A number of threads: if left out, the engine's own choice (0), all cores, and one less. Repeat.",
        ),
    ] = None,
    samples: Annotated[int, _SAMPLES] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
    model: ModelOption = None,
    shape: _ShapeOption = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="DTYPE", rich_help_panel="Model", help="Of the model.")
    ] = None,
) -> int:
    """Measure typing and streaming with so many threads. Exit code 1 if the engine's own choice is past the bound."""
    from storyteller.bench import threads as bench

    settings = settings_with_notices()
    return bench.main(
        str(_model(model, shape, settings)),
        dtype=changed(Settings(), dtype=dtype).dtype,
        samples=samples,
        counts=count or (),
        as_json=as_json,
    )


def _model(model: str | None, shape: str | None, settings: Settings) -> Path:
    from storyteller.bench.shapes import SHAPES, model_of_shape
    from storyteller.engine.catalogue import find_model

    if shape is None:
        return find_model(model or settings.model).path
    if model is not None:
        raise UserError("--model opens a model and --shape makes one; choose one of them.")
    if shape not in SHAPES:
        raise UserError(f"There is no shape {shape!r}; there are {', '.join(SHAPES)}.")
    return model_of_shape(shape)


def _devices(named: Sequence[str]) -> tuple[str, ...]:
    from storyteller.bench.machine import devices

    for name in named:
        if name != "all":
            changed(Settings(), device=name)
    return devices() if "all" in named else tuple(named)


def _dtypes(named: Sequence[str]) -> tuple[str, ...]:
    from storyteller.bench.engine import ALL_DTYPES

    for name in named:
        if name != "all":
            changed(Settings(), dtype=name)
    return ALL_DTYPES if "all" in named else tuple(named)


def _peers(named: Sequence[str]) -> tuple[Peer, ...]:
    from storyteller.bench import figures
    from storyteller.bench.peers import require

    known = get_args(figures.Peer)
    for name in named:
        if name not in known:
            raise UserError(f"There is no peer {name!r}; there are {', '.join(known)}.")
        require(cast("Peer", name))
    return cast("tuple[Peer, ...]", tuple(named))


@app.command(cls=SectionedCommand)
def speculation(
    *,
    tokens: Annotated[
        int, typer.Option(min=8, max=1000, metavar="N", help="Tokens to write each time.")
    ] = 200,
    rounds: Annotated[
        int, typer.Option(min=1, max=100, metavar="N", help="Times everything is measured; medians count.")
    ] = 9,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    model: ModelOption = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="DTYPE", rich_help_panel="Model", help="Of the model.")
    ] = None,
    threads: ThreadsOption = None,
) -> int:
    """Measure what guessing ahead brings, on texts of the model's own. Exit code 1 if a bound is missed."""
    from storyteller.bench import speculation as bench

    settings = settings_with_notices()
    chosen = changed(settings, dtype=dtype, threads=threads)
    return bench.main(
        model or settings.model,
        dtype=chosen.dtype,
        threads=chosen.threads,
        tokens=tokens,
        rounds=rounds,
        as_json=as_json,
    )


@app.command(cls=SectionedCommand)
def train(
    *,
    seq: Annotated[int, typer.Option(min=8, max=65_536, metavar="N", help="Tokens a sequence.")] = 512,
    batch: Annotated[int, typer.Option(min=1, max=4096, metavar="N", help="Sequences a step.")] = 1,
    micro_batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Sequences at once; all if left out.")
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Steps that are timed, after one that is not.")
    ] = 3,
    rank: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Of the low-rank products.")] = 16,
    rounds: Annotated[
        int, typer.Option(min=1, max=100, metavar="N", help="Times everything is measured; medians count.")
    ] = 3,
    quantize: Annotated[
        str | None,
        typer.Option(
            metavar="8bit|4bit", help="Hold the base in fewer bits, by bitsandbytes, on both sides."
        ),
    ] = None,
    recompute: Annotated[
        bool,
        typer.Option("--recompute", help="Compute activations again instead of keeping them, on both sides."),
    ] = False,
    drops: Annotated[
        bool,
        typer.Option("--dropout/--no-dropout", help="Drop what the base's configuration says, and 0.05."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    model: ModelOption = None,
    shape: _ShapeOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    threads: ThreadsOption = None,
) -> int:
    """Measure how fast a genre is learned, and in how much memory, beside transformers' Trainer with peft.

    Exit code 1 if a bound that was judged is missed.
    """
    from storyteller.bench import train as bench

    if quantize not in {None, "8bit", "4bit"}:
        raise UserError(f"--quantize is {quantize!r}; it can be 8bit or 4bit.")
    if micro_batch is not None and batch % micro_batch:
        raise UserError(f"--micro-batch is {micro_batch}; use a number that divides --batch, {batch}.")
    settings = settings_with_notices()
    chosen = changed(settings, device=device, dtype=dtype, threads=threads)
    plan = bench.Plan(
        model=_model(model, shape, settings),
        device=chosen.device,
        dtype=chosen.dtype,
        seq=seq,
        batch=batch,
        micro_batch=micro_batch,
        steps=steps,
        rank=rank,
        rounds=rounds,
        quantise=cast("Literal['8bit', '4bit'] | None", quantize),
        recompute=recompute,
        drops=drops,
        threads=chosen.threads,
    )
    return bench.main(plan, as_json=as_json)
