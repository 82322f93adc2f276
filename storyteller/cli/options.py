"""Options that several commands share. No engine here: the room is open before any of it is loaded."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from storyteller.engine.protocol import Dtype

_MODEL = "Model"
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME|FOLDER", rich_help_panel=_MODEL, help="The model to open."),
]
AdapterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="NAME[=WEIGHT]",
        rich_help_panel=_MODEL,
        help="A LoRA adapter, by name or folder; 1 is as trained. Repeat to mix. `none` is the model alone.",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="DEVICE", rich_help_panel=_MODEL, help="auto, cpu, cuda, cuda:1 or mps."
    ),
]
DtypeOption = Annotated[
    str | None,
    typer.Option("--dtype", metavar="DTYPE", rich_help_panel=_MODEL, help=f"{', '.join(get_args(Dtype))}."),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", min=0, metavar="N", rich_help_panel=_MODEL, help="Processor threads; 0 chooses."
    ),
]

# A run of training

RUN = "The run"
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", rich_help_panel=RUN, help="Say what would be done, and end.")
]
JsonEventsOption = Annotated[
    bool, typer.Option("--json", rich_help_panel=RUN, help="Events as JSON, one a line.")
]
SaveEveryOption = Annotated[
    int | None,
    typer.Option(
        "--save-every",
        min=1,
        metavar="STEPS",
        rich_help_panel=RUN,
        help="Checkpoints; every two minutes if left out.",
    ),
]
