"""What `doctor` knows, gathered without changing or fetching anything; each part is plain data."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from storyteller import __version__, paths
from storyteller.cli.terminal import Terminal, inspect_terminal, why_no_room
from storyteller.config import Settings, config_path, load_settings
from storyteller.disk import is_folder, is_missing, is_there
from storyteller.engine.catalogue import find_adapters, find_model
from storyteller.errors import StorytellerError

_LIBRARIES: Final = ("torch", "transformers", "peft", "bitsandbytes", "tokenizers", "safetensors", "textual")
_LITTLE_SPACE: Final = 200_000_000  # bytes free under which a save or a journal may soon fail


class Place(msgspec.Struct, frozen=True):
    """A directory of ours."""

    what: str
    path: str
    exists: bool
    writable: bool
    free_bytes: int


class EngineState(msgspec.Struct, frozen=True):
    """What would decode, and what it would open."""

    device: str
    device_name: str
    dtype: str
    threads: int
    compiled_step: str
    model: str
    model_path: str
    reason: str
    adapters: dict[str, str]


class Diagnosis(msgspec.Struct, frozen=True):
    """What `doctor --json` prints: stable keys, one object."""

    version: str
    python: str
    platform: str
    libraries: dict[str, str | None]
    engine: EngineState
    terminal: Terminal
    room: str
    directories: tuple[Place, ...]
    settings: str
    library: str
    consent: str
    problems: tuple[str, ...]


def diagnose() -> Diagnosis:
    """Everything, gathered now. Never raises for what is amiss: that is in `problems`."""
    settings, problems = load_settings()
    terminal = inspect_terminal()
    room = why_no_room(terminal)
    places = [_place(what, folder) for what, folder in _directories()]
    engine = _engine(settings, problems)
    library, consent = _library(settings, problems)
    problems += [f"{place.path} cannot be written." for place in places if not place.writable]
    problems += [
        f"Only {place.free_bytes / 1e6:.0f} MB are free where {place.path} is."
        for place in places
        if place.writable and place.free_bytes < _LITTLE_SPACE
    ]
    if not terminal.unicode:
        problems.append(f"The terminal's encoding is {terminal.encoding}; set LANG to one in UTF-8.")
    return Diagnosis(
        version=__version__,
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        libraries={name: _version(name) for name in _LIBRARIES},
        engine=engine,
        terminal=terminal,
        room=room or "can open here",
        directories=tuple(places),
        settings=str(config_path()) if is_there(config_path()) else f"{config_path()}  (not made yet)",
        library=library,
        consent=consent,
        problems=tuple(problems),
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _directories() -> list[tuple[str, Path]]:
    return [
        ("settings", paths.config_dir()),
        ("data", paths.data_dir()),
        ("state", paths.state_dir()),
        ("cache", paths.cache_dir()),
        ("models", paths.models_dir()),
        ("adapters", paths.adapters_dir()),
    ]


def _place(what: str, folder: Path) -> Place:
    """The state of `folder`, or of the nearest one above it that exists: there it would be made."""
    nearest = next((above for above in (folder, *folder.parents) if is_folder(above)), folder)
    try:
        disk = shutil.disk_usage(nearest)
    except OSError:
        return Place(what, str(folder), exists=False, writable=False, free_bytes=0)
    writable = os.access(nearest, os.W_OK | os.X_OK) and disk.total > 0  # /proc and its like have no size
    return Place(what, str(folder), is_folder(folder), writable, disk.free)


def _engine(settings: Settings, problems: list[str]) -> EngineState:
    """What would be opened, where and how. Imports torch."""
    from storyteller.engine.network.device import place, set_threads, without_few_bits
    from storyteller.engine.network.model_config import ModelConfig, load_config
    from storyteller.engine.network.native.engine import native_failure
    from storyteller.engine.network.weights import parameter_count

    name, path, reason, adapters, config = "none", "", "", {}, ModelConfig()
    try:
        found = find_model(settings.model)
        name, path, reason = found.name, str(found.path), found.reason
        config = load_config(found.path)
        adapters = {adapter: str(folder) for adapter, folder in find_adapters(found.path).items()}
    except StorytellerError as error:
        problems.append(str(error))
    placement = place(settings.device, settings.dtype, parameter_count(config))
    if settings.dtype == "auto" and native_failure():
        placement = without_few_bits(placement)  # as opening it does
    problems += placement.notes
    return EngineState(
        device=str(placement.device),
        device_name=_device_name(str(placement.device)),
        dtype=placement.dtype_name,
        threads=set_threads(settings.threads),
        compiled_step=_compiled_step(),
        model=name,
        model_path=path,
        reason=reason,
        adapters=adapters,
    )


def _compiled_step() -> str:
    """Whether tokens are decoded by a step compiled for this processor, in a few words."""
    from storyteller.engine.network.native.build import built_library, find_compiler
    from storyteller.engine.network.native.engine import native_failure

    if failure := native_failure():
        return f"no: {failure}"
    if built_library() is not None:
        return "yes"
    return (
        "at the first start"
        if find_compiler()
        else "no: no C++ compiler was found; install one for more speed"
    )


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        properties = torch.cuda.get_device_properties(device)
        return f"{device}: {properties.name}, {properties.total_memory / 1e9:.0f} GB"
    return f"{device}: {_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    """The processor's name: Linux has it in a file, others in `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _library(settings: Settings, problems: list[str]) -> tuple[str, str]:
    """The library's file, and whether anything is logged. Opened read-only, so that looking changes nothing."""
    path = paths.library_path()
    asked = {"ask": "not asked yet", "yes": "on", "no": "off"}[settings.consent]
    if is_missing(path):
        return f"{path}  none yet", asked
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2)
        try:
            rows = connection.execute("SELECT allowed FROM consent WHERE scope = 'all'").fetchall()
        finally:
            connection.close()
        size = path.stat().st_size
    except (sqlite3.Error, OSError) as error:
        problems.append(f"The library {path} cannot be read ({error}).")
        return f"{path}  cannot be read", asked
    if rows and settings.consent != "no":
        asked = "on" if rows[0][0] else "off"
    return f"{path}  {size / 1e6:.1f} MB", asked
