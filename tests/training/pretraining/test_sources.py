"""Where documents come from: each kind of source, what is left out, and what is said where one is damaged."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from storyteller.errors import CorpusError
from storyteller.training.pretraining.recipe import Source
from storyteller.training.pretraining.sources import documents, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAGE = "The old lighthouse keeper opened the door and looked out at the sea, which said nothing.\n\n"


def source(**fields: Any) -> Source:
    return Source(**{"genre": "some", "form": "prose"} | fields)


def texts(which: Source, folder: Path) -> list[str]:
    return [document.text for document in documents(which, folder)]


def write_archive(path: Path, files: Mapping[str, str]) -> None:
    with tarfile.open(path, "w:xz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("books/fiction/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)


def test_an_archive_s_books_without_their_edges(tmp_path: Path) -> None:
    book = "TITLE\n\n" + PAGE * 60
    write_archive(
        tmp_path / "a.tar.xz", {"books/fiction/a.txt": book, "books/other/b.txt": book, "index.jsonl": "{}"}
    )
    found = texts(source(kind="archive", form="book", path="a.tar.xz", inside="/fiction/"), tmp_path)
    assert len(found) == 1
    assert found[0].startswith("The old lighthouse keeper")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.xz"])
def test_rows_packed_or_not(tmp_path: Path, name: str) -> None:
    rows = [{"title": "Snow", "text": PAGE, "author": "X"}, {"text": "No title."}]
    data = "\n".join(map(json.dumps, rows)).encode() + b"\n\n"
    (tmp_path / name).write_bytes(lzma.compress(data) if name.endswith("xz") else data)
    assert texts(source(kind="rows", path=name), tmp_path) == [f"Snow\n\n{PAGE.strip()}", "No title."]


def test_a_folder_s_texts_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("b.txt", "a/c.md", "picture.png", ".hidden.txt", "empty.txt"):
        (tmp_path / name).write_text("" if name == "empty.txt" else name)
    assert texts(source(kind="folder", path="."), tmp_path) == ["a/c.md", "b.txt"]


def test_the_standard_library_without_its_tests(tmp_path: Path) -> None:
    which = source(kind="library", form="code")
    found = documents(which, tmp_path)
    first = [next(found).text for _ in range(20)]
    assert all(len(text) > 400 and text.endswith("\n") for text in first)
    assert any("import" in text for text in first)


def test_a_document_s_mark_is_of_its_opening(tmp_path: Path) -> None:
    for name, end in (("a", "one"), ("b", "another")):
        (tmp_path / f"{name}.txt").write_text(PAGE * 8 + end)
    (tmp_path / "c.txt").write_text("Not " + PAGE * 8)
    marks = [document.mark for document in documents(source(kind="folder", path="."), tmp_path)]
    assert marks[0] == marks[1] != marks[2]


def test_the_fingerprint_follows_what_is_in_the_files(tmp_path: Path) -> None:
    which = source(kind="folder", path=".")
    (tmp_path / "a.txt").write_text("one")
    before = fingerprint(which, tmp_path)
    assert fingerprint(which, tmp_path) == before
    (tmp_path / "a.txt").write_text("two")
    assert fingerprint(which, tmp_path) != before


@pytest.mark.parametrize(
    ("kind", "name", "data", "said"),
    [
        ("archive", "a.tar.xz", None, "is not there"),
        ("archive", "a.tar.xz", b"no archive at all", "damaged"),
        ("archive", "a.tar.xz", b"", "damaged"),
        ("rows", "r.jsonl", None, "is not there"),
        ("rows", "r.jsonl.xz", b"not packed", "damaged"),
        ("rows", "r.jsonl.xz", lzma.compress(b'{"text": "a"}\n' * 999)[:-30], "damaged"),
        ("rows", "r.jsonl", b'{"text": "a"}\n{"txt": 1}\n', "line 2"),
        ("rows", "r.jsonl", b'{"text": "\xff"}\n', "line 1"),
        ("folder", "none", None, "is not there"),
        ("folder", ".", None, "holds no texts"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, kind: Any, name: str, data: bytes | None, said: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    which = source(kind=kind, path=name)
    with pytest.raises(CorpusError, match=said):
        print(fingerprint(which, tmp_path), texts(which, tmp_path))
