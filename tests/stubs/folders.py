"""Folders for tests, and what is in them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def names_in(folder: Path) -> list[str]:
    """The names of all that is in `folder`, in order."""
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may use: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="storyteller-test-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
