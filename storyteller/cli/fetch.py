"""Fetches a GPT-2 from the Hugging Face hub: only safetensors, JSON and text, hashes checked, noted beside the model.

A fetch that is interrupted leaves a hidden `.NAME.partial` folder, and the next one goes on from its last byte.
The model appears under its name only when it is whole.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from storyteller.atomic import write_atomic
from storyteller.cli.streams import is_terminal, notice
from storyteller.cli.verification import hash_file
from storyteller.engine.catalogue import folder_name, hub_name, is_repo_name
from storyteller.engine.model_folder import RECORD, Record, RecordedFile, check_folder, read_config, record_of
from storyteller.errors import ModelError, StorytellerError
from storyteller.paths import models_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SUFFIXES: Final = (".safetensors", ".json", ".txt")
_TITLE: Final = "The model could not be fetched"


class Wanted(NamedTuple):
    """A file on the hub: its size in bytes, and its hash as `hash_file` writes it."""

    name: str
    size: int
    hash: str


def fetch(name: str, revision: str | None, *, again: bool = False) -> Path:
    """The folder with model `name`, fetched now unless it is here and whole.

    Args:
        name: what the hub calls it, or short for that.
        revision: a branch, tag or commit; None is the newest.
        again: compare what is here with the hub, file by file, and fetch what differs.

    Raises:
        ModelError: no such model, not a GPT-2, no safetensors, or a file that is not what the hub says.
        StorytellerError: the network, the hub or the disk fails.
    """
    if not is_repo_name(name):
        raise ModelError(f"{name!r} is no model's name; one is gpt2-large, or OWNER/NAME.")
    folder = models_dir() / folder_name(name)
    if not again and _is_whole(folder):
        notice(f"{name} is here already; --again compares it with the hub.")
        return folder
    if folder.exists() and record_of(folder) is None:
        raise ModelError(f"{folder} was not fetched by storyteller. Move it away first.", title=_TITLE)
    hub = _hub()
    repo = hub_name(name)
    commit, files = _listing(hub, repo, revision)
    partial = folder.with_name(f".{folder.name}.partial")
    _make(partial, folder)
    _check_space(partial, files)
    for file in _in_order(files):
        _download(hub, repo, commit, file, partial)
        if file.name == "config.json":
            read_config(partial)  # another kind of model is refused before its gigabytes come
    _finish(partial, folder, Record(repo, commit, _recorded(partial, files)))
    return folder


def _hub() -> Any:
    """The hub's library, imported now that it is known to be wanted."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if not is_terminal(sys.stderr):
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import huggingface_hub
    import huggingface_hub.constants
    import huggingface_hub.errors
    import huggingface_hub.file_download
    import huggingface_hub.utils

    hub: Any = huggingface_hub
    hub.utils.logging.set_verbosity_error()  # its retries are no news
    if hub.constants.HF_HUB_OFFLINE:
        raise ModelError(
            "HF_HUB_OFFLINE is set, which forbids the network. Unset it and try again.", title=_TITLE
        )
    return hub


def _listing(hub: Any, repo: str, revision: str | None) -> tuple[str, list[Wanted]]:
    """The commit `revision` stands for, and the files of it that a GPT-2 needs."""
    with _explained(hub, repo):
        info = hub.HfApi().model_info(repo, revision=revision, files_metadata=True)
    files = [
        Wanted(
            entry.rfilename,
            entry.size or 0,
            f"sha256:{entry.lfs.sha256}" if entry.lfs else f"git:{entry.blob_id}",
        )
        for entry in info.siblings or []
        if "/" not in entry.rfilename and entry.rfilename.endswith(_SUFFIXES) and entry.rfilename != RECORD
    ]
    if not any(file.name == "config.json" for file in files):
        raise ModelError(
            f"{repo} on the hub has no config.json, so it is not a model for storyteller.", title=_TITLE
        )
    if not any(file.name.endswith(".safetensors") for file in files):
        raise ModelError(
            f"{repo} has no safetensors weights, and pickles are never opened. Look for a converted copy.",
            title=_TITLE,
        )
    return info.sha, files


def _in_order(files: list[Wanted]) -> Iterator[Wanted]:
    """config.json first, the largest last."""
    yield from sorted(files, key=lambda file: (file.name != "config.json", file.size))


def _download(hub: Any, repo: str, commit: str, file: Wanted, partial: Path) -> None:
    """Bring `file` into `partial`, from where an earlier fetch stopped. What came wrong is fetched once more."""
    whole = partial / file.name
    if whole.exists() and _hash_like(whole, file) == file.hash:
        return
    growing = partial / f"{file.name}.part"
    actual = ""
    for _ in range(2):
        with _explained(hub, repo):
            _append(hub, repo, commit, file, growing)
        actual = _hash_like(growing, file)
        if actual == file.hash:
            growing.replace(whole)
            return
        growing.unlink()
    raise ModelError(
        f"{whole} came twice as {actual} where the hub says {file.hash}. Try again later.", title=_TITLE
    )


def _append(hub: Any, repo: str, commit: str, file: Wanted, growing: Path) -> None:
    # Not `hf_hub_download`: since its version 2 it throws away what an interrupted process had fetched.
    with growing.open("ab") as stream:
        hub.file_download.http_get(
            hub.hf_hub_url(repo, file.name, revision=commit),
            stream,
            resume_size=stream.tell(),
            headers=hub.utils.build_hf_headers() | {"Accept-Encoding": "identity"},
            expected_size=file.size,
            displayed_filename=file.name,
        )


def _hash_like(path: Path, file: Wanted) -> str:
    return hash_file(path, file.hash.partition(":")[0])


def _recorded(partial: Path, files: list[Wanted]) -> dict[str, RecordedFile]:
    recorded = {}
    for file in files:
        known = file.hash if file.hash.startswith("sha256:") else hash_file(partial / file.name)
        recorded[file.name] = RecordedFile(
            (partial / file.name).stat().st_size, known.removeprefix("sha256:")
        )
    return recorded


def _finish(partial: Path, folder: Path, record: Record) -> None:
    try:
        write_atomic(partial / RECORD, msgspec.json.format(msgspec.json.encode(record)))
        check_folder(partial)
        partial.rename(folder)
    except OSError as error:
        raise _disk_failed(partial, error) from error


def _is_whole(folder: Path) -> bool:
    try:
        check_folder(folder)
    except ModelError:
        return False
    return True


def _make(partial: Path, folder: Path) -> None:
    """The folder to fetch into: what is in `folder`, else what an interrupted fetch left, else a new one."""
    try:
        if folder.exists():
            shutil.rmtree(partial, ignore_errors=True)
            folder.rename(partial)
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _disk_failed(partial, error) from error


def _check_space(partial: Path, files: list[Wanted]) -> None:
    here = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
    needed = sum(file.size for file in files) - here
    free = shutil.disk_usage(partial).free
    if needed > free:
        raise StorytellerError(
            f"{needed / 1e9:.1f} GB are needed in {partial.parent} and {free / 1e9:.1f} GB are free. Make room first.",
            title=_TITLE,
        )


def _disk_failed(path: Path, error: OSError) -> StorytellerError:
    return StorytellerError(f"{path} cannot be written: {error.strerror or error}.", title=_TITLE)


@contextmanager
def _explained(hub: Any, repo: str) -> Iterator[None]:
    """Turn what the hub's library raises into an error that says what to do."""
    try:
        yield
    except Exception as error:  # its errors come from three libraries and share no base
        raise _explanation(error, hub.errors, repo) from error


def _explanation(error: Exception, known: Any, repo: str) -> StorytellerError:
    match error:
        case known.GatedRepoError():
            return ModelError(
                f"{repo} asks for consent on its page first; then `hf auth login`.", title=_TITLE
            )
        case known.RepositoryNotFoundError():
            return ModelError(f"The hub has no model {repo}, or not for you. Check the name.", title=_TITLE)
        case known.RevisionNotFoundError():
            return ModelError(
                f"{repo} has no such revision. Leave --revision out for its newest.", title=_TITLE
            )
        case OSError() if error.errno:
            return StorytellerError(f"{error.strerror}. What came so far is kept.", title=_TITLE)
    reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return StorytellerError(
        f"The hub did not answer as it should ({reason}). Check the network and run the command again; "
        "it goes on where it stopped.",
        title=_TITLE,
    )
