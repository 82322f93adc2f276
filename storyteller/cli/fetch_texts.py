"""Fetches a data set's texts from the Hugging Face hub into the cache: files of the kinds a corpus may have, no code."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from storyteller.cli.hub import Repository, Wanted, disk_failed, hub_goes_offline
from storyteller.cli.streams import notice
from storyteller.disk import is_missing
from storyteller.engine.process.offline import go_offline
from storyteller.errors import CorpusError
from storyteller.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

ONLINE: Final = "--online"
MOST_BYTES: Final = 2_000_000_000  # a corpus holds half as many characters; more would be fetched for nothing
_TITLE: Final = "The data set could not be fetched"
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}\Z", re.ASCII)
_KINDS: Final = (".txt", ".md", ".jsonl", ".json", ".csv", ".tsv")
_TABLES: Final = ".parquet"
_ABOUT: Final = frozenset(
    {"readme.md", "license.md", "license.txt", "dataset_infos.json", "dataset_dict.json"}
)


def texts_at(paths: Sequence[Path], *, online: bool) -> tuple[Path, ...]:
    """`paths`, with the folder of its texts in place of each that names a data set, fetched now.

    What is there as a file or folder is that; only `OWNER/NAME` can be a data set. Nothing here uses the network
    unless `online`, and nothing in this process does afterwards.

    Raises:
        CorpusError: a data set is named and `online` is not, or it has no texts that can be read here.
        UserError: there is no such data set, or a file is not what the hub says.
        StorytellerError: the network, the hub or the disk fails.
    """
    found = tuple(
        path if not is_missing(path) or not _NAME.match(str(path)) else _fetched(str(path), online=online)
        for path in paths
    )
    if online:
        go_offline()
    return found


def _fetched(name: str, *, online: bool) -> Path:
    if not online:
        raise CorpusError(
            f"There is no file or folder {name}. If it is a data set on the Hugging Face hub, add {ONLINE}, "
            "which fetches it; nothing is fetched otherwise."
        )
    repository = Repository(name, "dataset", title=_TITLE)
    commit, files = repository.listing(None)
    wanted = _texts(name, files)
    folder = cache_dir() / "datasets" / name.replace("/", "--") / commit[:12]
    notice(f"Fetching {sum(file.size for file in wanted) / 1e6:,.1f} MB of {name} into {folder}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        repository.check_space(folder, wanted)
        for file in wanted:
            whole = folder / file.name
            whole.parent.mkdir(parents=True, exist_ok=True)
            repository.download(commit, file, whole)
    except OSError as error:
        raise disk_failed(folder, error, _TITLE) from error
    hub_goes_offline()
    return folder


def _texts(name: str, files: Sequence[Wanted]) -> list[Wanted]:
    """The files of a data set that are texts, smallest first.

    Raises:
        CorpusError: there is none, none that can be read here, or too much.
    """
    inside = [file for file in files if _is_text(file.name)]
    tables = [file for file in inside if file.name.lower().endswith(_TABLES)]
    wanted = inside if find_spec("pyarrow") else [file for file in inside if file not in tables]
    if not wanted and tables:
        raise CorpusError(
            f"{name} has its texts as Parquet files only, which need pyarrow: pip install pyarrow.",
            title=_TITLE,
        )
    if not wanted:
        raise CorpusError(
            f"{name} has no texts that can be learned: files of {', '.join((*_KINDS, _TABLES))} are.",
            title=_TITLE,
        )
    size = sum(file.size for file in wanted)
    if size > MOST_BYTES:
        raise CorpusError(
            f"{name} holds {size / 1e9:,.1f} GB of texts, which is more than can be learned "
            f"({MOST_BYTES / 1e9:.0f} GB). Fetch some of its files yourself and name those.",
            title=_TITLE,
        )
    return sorted(wanted, key=lambda file: file.size)


def _is_text(name: str) -> bool:
    """Whether a file is one of a data set's texts, and its name stays inside a folder; its card is about them."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)  # `..` among them
    odd = path.is_absolute() or "\\" in name or not name.isprintable()
    return (
        not hidden
        and not odd
        and path.suffix.lower() in {*_KINDS, _TABLES}
        and path.name.lower() not in _ABOUT
    )
