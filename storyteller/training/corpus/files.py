"""Which files a writer's paths mean: regular ones of known kinds, in an order that is the same on every machine.

Nothing is opened here. Hidden names are passed over; whatever else is left out is noted with its reason.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.errors import CorpusError
from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from storyteller.training.corpus.document import Skips

KINDS: Final = (".txt", ".md", ".py", ".jsonl", ".json", ".csv", ".tsv", ".parquet")
_COMPRESSED: Final = frozenset(
    (".zip", ".gz", ".tgz", ".bz2", ".xz", ".txz", ".zst", ".7z", ".rar", ".tar", ".lz4", ".br", ".epub")
)
_MANY: Final = 200_000  # names; a list of them all takes seconds and some tens of megabytes

Order = tuple[bytes, ...]


class Found(msgspec.Struct, frozen=True):
    """A file to read: where it is, and its name as messages show it."""

    path: Path
    name: str

    @property
    def kind(self) -> str:
        """The ending of its name, which says how it is read."""
        kind = self.path.suffix.lower()
        return kind if kind in KINDS else KINDS[0]


def find_files(paths: Sequence[Path], skips: Skips, texts: Collection[Path] = ()) -> list[Found]:
    """The files of known kinds at and below `paths`, each once, and those of `paths` in `texts`, whatever their ending.

    A folder's files come in the order of their names' bytes, so that a copy of the folder gives the same corpus.

    Raises:
        CorpusError: a path does not exist or cannot be looked into, or there are too many names below it.
    """
    found: list[Found] = []
    seen: set[str] = set()
    for root in sorted(set(paths), key=os.fsencode):
        if not _is_folder(root):
            entries, others = [root], None
        else:
            entries, others = [path for _, path in sorted(_below(root, skips))], Counter[str]()
        for path in entries:
            shown = _shown(path, root)
            real = os.path.realpath(path)
            if real not in seen and (path in texts or _is_wanted(path, shown, skips, others)):
                seen.add(real)
                found.append(Found(path, shown))
        if others:
            endings = ", ".join(ending or "none" for ending, _ in others.most_common(8))
            count = others.total()
            skips.file(
                _shown(root, root), f"holds {count:,} files of kinds that are not read (endings: {endings})"
            )
    return found


def _is_folder(root: Path) -> bool:
    try:
        return stat.S_ISDIR(root.stat().st_mode)
    except OSError as error:
        raise CorpusError(
            f"{root} cannot be read ({error.strerror or error}). Name a file or folder of texts that is there."
        ) from error


def _below(root: Path, skips: Skips) -> list[tuple[Order, Path]]:
    """Every name below `root` that may be a text, without following links out of it."""
    entries: list[tuple[Order, Path]] = []
    home = os.path.realpath(root)
    folders: list[tuple[Order, Path]] = [((), root)]
    looked_at = 0
    while folders:
        order, folder = folders.pop()
        for entry in _names(folder, root, skips):
            looked_at += 1
            if looked_at > _MANY:
                raise CorpusError(
                    f"{root} holds over {_MANY:,} names. Name a folder with fewer, or join the texts in one .jsonl "
                    'file, a {"title": …, "text": …} a line.'
                )
            if entry.name.startswith("."):
                continue
            where = (*order, os.fsencode(entry.name))
            path = folder / entry.name
            if entry.is_symlink() and not _stays_in(path, home):
                skips.file(_shown(path, root), "is a link that leads out of the folder")
            elif entry.is_dir(follow_symlinks=False):
                folders.append((where, path))
            elif not path.is_dir():  # a linked folder in here is read at its own place
                entries.append((where, path))
    return entries


def _names(folder: Path, root: Path, skips: Skips) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        skips.file(_shown(folder, root), f"cannot be looked into ({error.strerror or error})")


def _stays_in(path: Path, home: str) -> bool:
    real = os.path.realpath(path)
    return real == home or real.startswith(home.rstrip(os.sep) + os.sep)


def _shown(path: Path, root: Path) -> str:
    return display_line(str(path.relative_to(root.parent)) or str(path))


def _is_wanted(path: Path, shown: str, skips: Skips, others: Counter[str] | None) -> bool:
    """Whether the file will be read; where not, why goes into the report.

    Files of unknown kinds are counted in `others`, by ending, where the writer did not name them one by one.
    """
    kind = path.suffix.lower()
    if kind in _COMPRESSED:
        skips.file(shown, "is compressed: unpack it and name the folder")
        return False
    try:
        mode = path.stat().st_mode
    except OSError as error:
        skips.file(shown, f"cannot be read ({error.strerror or error})")
        return False
    if not stat.S_ISREG(mode):
        skips.file(shown, f"is {what_it_is(mode)}, not a file, and was not opened")
        return False
    if kind in KINDS:
        return True
    if others is None:
        skips.file(shown, f"is not a kind of text that is read here ({', '.join(KINDS)})")
    else:
        others[display_line(kind[:12])] += 1
    return False


def what_it_is(mode: int) -> str:
    """A file's type in words."""
    names = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for test, name in names if test(mode)), "something else")
