"""Reads every byte of a model folder and compares it with what is known of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from storyteller.engine.model_folder import RECORD, check_folder, expected_hash, record_of
from storyteller.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = 1 << 20
_SUFFIXES = (".safetensors", ".json", ".txt")


class Finding(NamedTuple):
    """One line of the report."""

    good: bool
    text: str


def verify_folder(folder: Path) -> Iterator[Finding]:
    """What is right and wrong with the model in `folder`, file by file, as it is found out."""
    try:
        check_folder(folder)
    except ModelError as error:
        yield Finding(good=False, text=f"BAD   {error.message}")
    record = record_of(folder)
    recorded = set(record.files) if record else set()
    present = {file.name for file in folder.iterdir() if file.suffix in _SUFFIXES and file.is_file()}
    for name in sorted((recorded | present) - {RECORD}):
        yield _verify_file(folder / name)


def hash_file(file: Path, kind: str = "sha256") -> str:
    """`sha256:…`, or `git:…`, the hub's name for a file that is not large: git's blob hash.

    Raises:
        OSError: the file cannot be read.
    """
    if kind == "git":
        digest = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    else:
        digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return f"{kind}:{digest.hexdigest()}"


def _verify_file(file: Path) -> Finding:
    expected = expected_hash(file)
    try:
        actual = hash_file(file, "git" if expected and expected.startswith("git:") else "sha256")
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding(good=False, text=f"BAD   {file}: {reason}; its hash should be {expected}")
    if expected is None:
        return Finding(good=True, text=f"?     {file.name}  {actual}  (no hash was noted)")
    if actual != expected:
        return Finding(good=False, text=f"BAD   {file} is {actual}; it should be {expected}")
    return Finding(good=True, text=f"good  {file.name}  {actual}")
