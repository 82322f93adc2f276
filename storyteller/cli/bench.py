"""`storyteller bench`: measures the engine and the screen on this machine."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from storyteller.cli.options import DeviceOption, ModelOption  # noqa: TC001 - typer reads the annotations
from storyteller.cli.sections import SectionedCommand
from storyteller.config import Settings, changed, load_settings
from storyteller.errors import UserError

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, help=__doc__)


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
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Measure this beside it in the same run: transformers."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a row.")] = False,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(metavar="DTYPE", rich_help_panel="Model", help="Repeat to measure several."),
    ] = None,
) -> int:
    """Measure decoding, first tokens and an edit near the end. Exit code 1 if a peer was faster or an edit slow."""
    from storyteller.bench import engine as bench
    from storyteller.engine.catalogue import find_model

    settings, _ = load_settings()
    settings = changed(settings, device=device)
    for name in dtype or ():
        changed(Settings(), dtype=name)
    peers = get_args(bench.Peer)
    for name in peer or ():
        if name not in peers:
            raise UserError(f"There is no peer {name!r}; there is {', '.join(peers)}.")
    return bench.main(
        find_model(model or settings.model).path,
        device=settings.device,
        dtypes=dtype or (settings.dtype,),
        contexts=context or (256, 900),
        peers=cast("list[bench.Peer]", peer or []),
        tokens=tokens,
        as_json=as_json,
    )


@app.command()
def ui(
    *,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|FOLDER", help="Stream from this model, not from a paced stand-in."),
    ] = None,
    samples: Annotated[int, typer.Option(min=5, max=10_000, help="Keys of each kind.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> int:
    """Measure how soon a key is on screen while a take streams into 100,000 words. Exit code 1 past the bound."""
    from storyteller.bench import ui as bench

    return bench.main(as_json=as_json, model=model, samples=samples)
