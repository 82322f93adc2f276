"""What every command of `storyteller eval` does with a model: open it, take base and adapters in turn, set a table."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from storyteller.cli.engine import find_wanted, open_core, parse_adapters, progress, settings_with_notices
from storyteller.cli.streams import output, output_rich
from storyteller.config import NO_ADAPTER
from storyteller.engine.catalogue import find_adapters
from storyteller.errors import EngineError
from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from storyteller.engine.core import Core
    from storyteller.engine.network.model import Network
    from storyteller.engine.protocol import AdapterWeight

BASE = "base"
_SHOWN = 0.1  # seconds between two lines of progress
ComparedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="NAME[=WEIGHT]",
        rich_help_panel="Model",
        help="A LoRA adapter, by name or folder, beside the base. Repeat to compare.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object for the base and each adapter.")]


class Contestant(msgspec.Struct, frozen=True):
    """The base, or one adapter of it, by the name that was given."""

    name: str
    adapters: tuple[AdapterWeight, ...]


class Contest:
    """An open model and those of it that are compared: the base first, then each adapter."""

    def __init__(
        self,
        *,
        model: str | None,
        adapter: list[str] | None,
        device: str | None,
        dtype: str | None,
        threads: int | None,
    ) -> None:
        """Open `model`, else that of the settings.

        Raises:
            SettingsError, ModelError, AdapterError: as `open_core` and `parse_adapters`.
        """
        settings = settings_with_notices()
        found = find_wanted(model, settings)
        named = [name for name in adapter or () if name != NO_ADAPTER]  # the base is always one of them
        chosen = parse_adapters(named, find_adapters(found.path))
        self.contestants = [
            Contestant(BASE, ()),
            *(Contestant(name, (weight,)) for name, weight in zip(named, chosen, strict=True)),
        ]
        self.core: Core = open_core(found, settings, device=device, dtype=dtype, threads=threads)
        for contestant in self.contestants:  # what cannot be used is told before the base has taken an hour
            self.network(contestant)

    @property
    def about(self) -> dict[str, str]:
        """What was measured, for a row of JSON."""
        opened = self.core.opened
        placement = opened.placement
        return {"model": opened.found.name, "device": placement.device.type, "dtype": placement.dtype_name}

    def network(self, contestant: Contestant) -> Network:
        """`contestant` in memory."""
        return self.core.opened.network_with(contestant.adapters)


def told(label: str) -> Callable[[float], None]:
    """Something to tell the share done of `label`: seen on a terminal, ten times a second at most."""
    last = 0.0

    def tell(share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if share >= 1.0:
            progress("")
        elif now - last >= _SHOWN:
            last = now
            progress(f"{label}: {share:.0%}")

    return tell


@contextmanager
def measuring() -> Iterator[None]:
    """Leaves no line of progress behind, and says it in a sentence where the memory is too small.

    Raises:
        EngineError: it is.
    """
    from storyteller.engine.network.device import is_out_of_memory

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise EngineError(
            "There is not enough memory to measure this model here. Close other programs, or try --dtype bfloat16."
        ) from error
    finally:
        progress("")


def print_line(row: dict[str, Any]) -> None:
    """A row of JSON."""
    output(msgspec.json.encode(row).decode() + "\n")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A row for each contestant, its name in front."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("adapter", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, *figures in rows:
        table.add_row(display_line(name), *figures)
    output_rich(table)
