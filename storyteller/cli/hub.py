"""Files of the Hugging Face hub: what a repository holds, and how one comes here whole, with its hash checked.

A file that is interrupted leaves a `.part`, and the next fetch goes on from its last byte.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from storyteller.cli.streams import is_terminal
from storyteller.cli.verification import hash_file
from storyteller.errors import StorytellerError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Wanted(NamedTuple):
    """A file on the hub: its size in bytes, and its hash as `hash_file` writes it."""

    name: str
    size: int
    hash: str


class Repository:
    """A repository of the hub. Whatever goes wrong with it is an error called `title`.

    Raises:
        UserError: the environment forbids the network.
    """

    def __init__(self, name: str, kind: Literal["model", "dataset"], *, title: str) -> None:
        self.name = name
        self.title = title
        self._kind = kind
        self._hub = _library()
        if self._hub.constants.HF_HUB_OFFLINE:
            raise UserError(
                "HF_HUB_OFFLINE is set, which forbids the network. Unset it and try again.", title=title
            )

    def listing(self, revision: str | None) -> tuple[str, list[Wanted]]:
        """The commit `revision` stands for, the newest for None, and all files of it.

        Raises:
            UserError: there is no such repository or revision, or not for everyone.
            StorytellerError: the network or the hub fails.
        """
        with self._explained():
            info = self._hub.HfApi().repo_info(
                self.name, repo_type=self._kind, revision=revision, files_metadata=True
            )
        files = [
            Wanted(
                entry.rfilename,
                entry.size or 0,
                f"sha256:{entry.lfs.sha256}" if entry.lfs else f"git:{entry.blob_id}",
            )
            for entry in info.siblings or []
        ]
        return info.sha, files

    def download(self, commit: str, file: Wanted, whole: Path) -> None:
        """Bring `file` to the path `whole`, unless it is there. What came wrong is fetched once more.

        Raises:
            UserError: it is not what the hub says it is.
            StorytellerError: the network, the hub or the disk fails.
        """
        if whole.exists() and _hash_like(whole, file) == file.hash:
            return
        growing = whole.with_name(f"{whole.name}.part")
        if growing.exists() and growing.stat().st_size > file.size:
            growing.unlink()  # of another revision; the hub has nothing beyond its own end
        actual = ""
        for _ in range(2):
            with self._explained():
                self._append(commit, file, growing)
            actual = _hash_like(growing, file)
            if actual == file.hash:
                growing.replace(whole)
                return
            growing.unlink()
        raise UserError(
            f"{whole} came twice as {actual} where the hub says {file.hash}. Try again later.",
            title=self.title,
        )

    def check_space(self, folder: Path, files: Sequence[Wanted]) -> None:
        """See that `files` find room in `folder`, part of which may be there.

        Raises:
            StorytellerError: they do not.
        """
        here = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        needed = sum(file.size for file in files) - here
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise StorytellerError(
                f"{needed / 1e9:.1f} GB are needed in {folder.parent} and {free / 1e9:.1f} GB are free. Make room first.",
                title=self.title,
            )

    def _append(self, commit: str, file: Wanted, growing: Path) -> None:
        # Not `hf_hub_download`: since its version 2 it throws away what an interrupted process had fetched.
        with growing.open("ab") as stream:
            self._hub.file_download.http_get(
                self._hub.hf_hub_url(self.name, file.name, repo_type=self._kind, revision=commit),
                stream,
                resume_size=stream.tell(),
                headers=self._hub.utils.build_hf_headers() | {"Accept-Encoding": "identity"},
                expected_size=file.size,
                displayed_filename=file.name,
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the hub's library raises into an error that says what to do."""
        try:
            yield
        except Exception as error:  # its errors come from three libraries and share no base
            raise self._explanation(error) from error

    def _explanation(self, error: Exception) -> StorytellerError:
        known, repo, title = self._hub.errors, self.name, self.title
        match error:
            case known.GatedRepoError():
                return UserError(
                    f"{repo} asks for consent on its page first; then `hf auth login`.", title=title
                )
            case known.RepositoryNotFoundError():
                kind = "model" if self._kind == "model" else "data set"
                return UserError(
                    f"The hub has no {kind} {repo}, or not for you. Check the name.", title=title
                )
            case known.RevisionNotFoundError():
                return UserError(
                    f"{repo} has no such revision. Leave --revision out for its newest.", title=title
                )
            case OSError() if error.errno:
                return StorytellerError(f"{error.strerror}. What came so far is kept.", title=title)
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        return StorytellerError(
            f"The hub did not answer as it should ({reason}). Check the network and run the command again; "
            "it goes on where it stopped.",
            title=title,
        )


def hub_goes_offline() -> None:
    """From now on the hub's library refuses the network to this process, as its switch would have it do at first."""
    _library().constants.HF_HUB_OFFLINE = True


def disk_failed(path: Path, error: OSError, title: str) -> StorytellerError:
    """What to say where `path` cannot be written."""
    return StorytellerError(f"{path} cannot be written: {error.strerror or error}.", title=title)


def _library() -> Any:
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
    return hub


def _hash_like(path: Path, file: Wanted) -> str:
    return hash_file(path, file.hash.partition(":")[0])
