"""The engine inside this process, opened as the options and the settings say; what it tells goes to standard error."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from storyteller.cli.streams import is_terminal, notice
from storyteller.config import NO_ADAPTER, Settings, changed, load_settings
from storyteller.engine.catalogue import STARTER, find_model
from storyteller.engine.protocol import AdapterWeight, Load, Loading, Notice, weighed
from storyteller.errors import AdapterError
from storyteller.text import display_line

if TYPE_CHECKING:
    from storyteller.engine.catalogue import Found
    from storyteller.engine.core import Core

_CLEAR_LINE: Final = "\r\x1b[K"


def settings_with_notices() -> Settings:
    """The writer's settings; what was wrong in their file goes to standard error."""
    settings, warnings = load_settings()
    for warning in warnings:
        notice(warning)
    return settings


def find_wanted(model: str | None, settings: Settings) -> Found:
    """The model that `--model` or the settings name, else the best one here, with a quiet line where that is the starter.

    Raises:
        ModelError: what was named is not here or not whole.
    """
    wanted = model or settings.model
    found = find_model(wanted)
    if wanted is None and found.name == STARTER:
        notice(found.reason)
    return found


def parse_adapters(given: list[str] | None, known: dict[str, Path]) -> tuple[AdapterWeight, ...]:
    """`NAME[=WEIGHT]` options as what the engine takes; `none` is no adapter.

    Args:
        given: the options.
        known: adapters of the model, by name.

    Raises:
        AdapterError: a weight that is no finite number, or neither a known name nor a folder.
    """
    return tuple(_adapter(option, known) for option in given or () if option != NO_ADAPTER)


def open_core(
    found: Found, settings: Settings, *, device: str | None, dtype: str | None, threads: int | None
) -> Core:
    """An engine with the model `found` open.

    Raises:
        SettingsError: a device, dtype or number of threads that cannot be.
        ModelError: the model cannot be opened.
    """
    # Before torch is imported: a mistake is told at once.
    chosen = changed(settings, device=device, dtype=dtype, threads=threads)
    from storyteller.engine.core import Core

    request = Load(
        id="load",
        model=str(found.path),
        device=chosen.device,
        dtype=chosen.dtype,
        threads=chosen.threads,
        speculate=chosen.speculate,
    )
    core = Core()
    try:
        for event in core.load(request):
            match event:
                case Loading():
                    progress(f"opening {found.name}: {event.stage}")
                case Notice():
                    progress("")
                    notice(event.message)
    finally:
        progress("")
    return core


def progress(text: str) -> None:
    """Write over the one line of standard error that says how far something is; nothing where nobody looks."""
    if not is_terminal(sys.stderr) or os.environ.get("TERM", "dumb") == "dumb":
        return
    sys.stderr.write(_CLEAR_LINE + display_line(text))
    sys.stderr.flush()


def _adapter(option: str, known: dict[str, Path]) -> AdapterWeight:
    found = weighed(option) or AdapterWeight(option)
    return AdapterWeight(_adapter_folder(found.name, known), found.weight)


def _adapter_folder(name: str, known: dict[str, Path]) -> str:
    if name in known:
        return str(known[name])
    if name and (Path(name) / "adapter_config.json").is_file():
        return str(Path(name).absolute())
    here = f"There are {', '.join(known)}." if known else "There are none for this model yet."
    raise AdapterError(f"There is no adapter {name!r}, nor a folder with an adapter_config.json. {here}")
