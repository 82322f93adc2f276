"""Every directory the program uses. `STORYTELLER_HOME` puts them all under one (tests and portable installs use it)."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Callable

_APP = "storyteller"
_PACKAGE = Path(__file__).resolve().parent


def _directory(kind: str, of_platform: Callable[..., str]) -> Path:
    """The directory of that kind; for a user without a home, one under the system's temporary directory."""
    try:
        home = os.environ.get("STORYTELLER_HOME")
        folder = Path(home, kind) if home else Path(of_platform(_APP, appauthor=False))
        return folder.expanduser().absolute()
    except RuntimeError:  # no HOME, and no such user
        return Path(tempfile.gettempdir()) / f"{_APP}-{os.getuid()}" / kind


def config_dir() -> Path:
    """Settings, key map, themes, presets and genres: TOML the writer may edit."""
    return _directory("config", platformdirs.user_config_dir)


def data_dir() -> Path:
    """The library database, the writer's models and adapters."""
    return _directory("data", platformdirs.user_data_dir)


def state_dir() -> Path:
    """Recovery journals, locks and logs."""
    return _directory("state", platformdirs.user_state_dir)


def cache_dir() -> Path:
    """What can be made again."""
    return _directory("cache", platformdirs.user_cache_dir)


def library_path() -> Path:
    """The SQLite library: takes, provenance, feedback."""
    return data_dir() / "library.db"


def datasets_dir() -> Path:
    """Data sets exported from the feedback log, where no other place was asked for."""
    return data_dir() / "datasets"


def journal_dir() -> Path:
    """One recovery journal a document."""
    return state_dir() / "journal"


def log_path() -> Path:
    """The program's log: events and tracebacks, never a manuscript's text."""
    return state_dir() / "storyteller.log"


def engine_log_path() -> Path:
    """Where the engine child's stdout and stderr go."""
    return state_dir() / "engine.log"


@cache
def bundled_dir() -> Path:
    """The folder that holds `assets/` and `adapters/`: inside the wheel, or the checkout's root."""
    wheel = _PACKAGE / "_bundled"
    return wheel if wheel.is_dir() else _PACKAGE.parent


def assets_dir() -> Path:
    """What ships with the program: the starter model, presets, themes."""
    return bundled_dir() / "assets"


def starter_model_dir() -> Path:
    """The model that ships."""
    return assets_dir() / "starter"


def bundled_adapters_dir() -> Path:
    """Adapters that ship for the starter model."""
    return bundled_dir() / "adapters"


def adapters_dir() -> Path:
    """The writer's own adapters."""
    return data_dir() / "adapters"


def models_dir() -> Path:
    """Where `storyteller models get` puts models."""
    return data_dir() / "models"


def private_dir(path: Path) -> Path:
    """Create `path` readable by its owner alone (0700), whatever the umask, and return it.

    Parents that are missing are made so too; those that are there stay as they are.

    Raises:
        OSError: the directory cannot be made.
    """
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def private_dir_or_temporary(path: Path) -> tuple[Path, str | None]:
    """`path` made private, or a fresh temporary directory and one sentence that says why (read-only HOME)."""
    try:
        return private_dir(path), None
    except OSError as error:
        stand_in = Path(tempfile.mkdtemp(prefix="storyteller-"))
        return (
            stand_in,
            f"{path} cannot be written ({error.strerror}); using {stand_in} until the program ends.",
        )
