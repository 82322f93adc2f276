"""Replace a file only when all of the new text has been written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO


@contextmanager
def safe_write(path: Path) -> Iterator[IO[str]]:
    """Open a new version of a file, which takes its place at the end.

    When the block fails, the old file stays as it was.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     notes = Path(name) / "notes.txt"
    ...     with safe_write(notes) as file:
    ...         _ = file.write("first")
    ...     try:
    ...         with safe_write(notes) as file:
    ...             _ = file.write("second")
    ...             raise RuntimeError("power cut")
    ...     except RuntimeError:
    ...         pass
    ...     notes.read_text(), len(list(Path(name).iterdir()))
    ('first', 1)
    """
    # In the same folder, because a file cannot be moved in one step between disks.
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        draft = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            draft.unlink()
            raise
    draft.replace(path)
