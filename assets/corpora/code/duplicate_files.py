"""Find files with the same contents."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

BLOCK = 1 << 16


def digest(path: Path) -> str:
    """Return a fingerprint of a file's contents, read block by block."""
    fingerprint = sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            fingerprint.update(block)
    return fingerprint.hexdigest()


def duplicates(folder: Path) -> Iterator[list[Path]]:
    """Yield each group of files below the folder that have the same contents.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     for file, text in [("a", "tea"), ("b", "sea"), ("c", "tea")]:
    ...         _ = (folder / file).write_text(text)
    ...     for group in duplicates(folder):
    ...         print([path.name for path in group])
    ['a', 'c']
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    by_size: defaultdict[int, list[Path]] = defaultdict(list)
    for path in files:
        by_size[path.stat().st_size].append(path)
    # Only files of the same size are worth reading.
    for same_size in by_size.values():
        if len(same_size) > 1:
            yield from _same_contents(same_size)


def _same_contents(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield the groups of paths whose fingerprints agree."""
    groups: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        groups[digest(path)].append(path)
    yield from (group for group in groups.values() if len(group) > 1)
