"""Safety 50, 52 and 53: whatever lies in a folder of texts, reading it ends, says why, and opens nothing it must not."""

from __future__ import annotations

import json
import os
import socket
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storyteller.cli.app import run
from storyteller.errors import CorpusError
from storyteller.genres import shipped_genres
from storyteller.training.corpus import files, load, reading
from storyteller.training.corpus.load import load_corpus
from tests.stubs.confined import run_as_plain_user

if TYPE_CHECKING:
    from collections.abc import Callable

POETRY = shipped_genres()["poetry"]
GOOD = "The tide went out.\nThe moon came in."


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    return folder


def left_out(folder: Path) -> str:
    """Why the other thing in `folder` was left out, while a good text beside it was read."""
    (folder / "good.txt").write_text(GOOD, encoding="utf-8")
    corpus = load_corpus(POETRY, [folder])
    assert [document.text for document in corpus.documents] == [GOOD]
    (skipped,) = corpus.report.skipped
    return f"{skipped.source} {skipped.reason}"


# 50: a corpus that is none


@pytest.mark.parametrize("content", ["", " \n\t\n\n", "\ufeff\x0c\n", "<|endoftext|>\n<|endoftext|>"])
def test_50_nothing_but_blanks_is_refused_with_what_to_do(texts: Path, content: str) -> None:
    (texts / "a.txt").write_text(content, encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"no text to learn in .*(is empty|blank texts: 1).*Name files or folders"
    ):
        load_corpus(POETRY, [texts])


def test_50_an_empty_folder_and_no_folder_are_refused(texts: Path) -> None:
    with pytest.raises(CorpusError, match="no text to learn"):
        load_corpus(POETRY, [texts])
    with pytest.raises(CorpusError, match="No such file"):
        load_corpus(POETRY, [texts / "missing"])
    with pytest.raises(CorpusError, match="storyteller corpus add poetry"):
        load_corpus(POETRY, [])


@pytest.mark.parametrize("text", ["a", ".", "one line", "龘"])
def test_50_one_token_or_line_makes_a_report_without_dividing_by_nothing(texts: Path, text: str) -> None:
    (texts / "a.txt").write_text(text, encoding="utf-8")
    report = load_corpus(POETRY, [texts]).report
    assert (report.documents, report.median) == (1, len(text))
    assert any("none to hold out" in warning for warning in report.warnings)


def test_50_all_duplicates_leave_one(texts: Path) -> None:
    for number in range(20):
        (texts / f"{number}.txt").write_text(GOOD + " " * number, encoding="utf-8")
    report = load_corpus(POETRY, [texts]).report
    assert (report.documents, report.exact_duplicates) == (1, 19)


# 52: what lies in folders


def test_52_a_pipe_is_never_opened(texts: Path) -> None:
    os.mkfifo(texts / "pipe.txt")
    assert "a named pipe" in left_out(texts)


def test_52_a_socket_is_never_opened(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(texts)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.jsonl")
        assert "a socket" in left_out(texts)


def test_52_a_device_is_never_opened() -> None:
    with pytest.raises(CorpusError, match="a device, not a file, and was not opened"):
        load_corpus(POETRY, [Path("/dev/zero")])


def test_52_what_becomes_a_pipe_after_it_was_listed_is_not_waited_for(
    texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed_then_replaced(*arguments: object) -> list[files.Found]:
        os.mkfifo(texts / "a.txt")
        return [files.Found(texts / "a.txt", "a.txt")]

    monkeypatch.setattr(load, "find_files", listed_then_replaced)
    with pytest.raises(CorpusError, match="a named pipe"):
        load_corpus(POETRY, [texts])


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "../outside.txt", "../outside"])
def test_52_a_link_out_of_the_folder_is_not_followed(texts: Path, target: str) -> None:
    (texts.parent / "outside.txt").write_text("secret", encoding="utf-8")
    (texts.parent / "outside").mkdir()
    (texts.parent / "outside" / "b.txt").write_text("secret", encoding="utf-8")
    (texts / "link.txt").symlink_to(target)
    assert "leads out of the folder" in left_out(texts)


def test_52_links_inside_the_folder_give_a_text_once_and_loops_end(texts: Path) -> None:
    (texts / "sub").mkdir()
    (texts / "sub" / "loop").symlink_to(texts)
    (texts / "self.txt").symlink_to("self.txt")
    (texts / "again.txt").symlink_to("good.txt")
    assert "self.txt cannot be read" in left_out(texts)


def test_52_a_link_the_writer_names_is_followed(texts: Path) -> None:
    (texts / "a.txt").write_text(GOOD, encoding="utf-8")
    link = texts.parent / "mine"
    link.symlink_to(texts)
    assert load_corpus(POETRY, [link]).report.documents == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"caf\xe9 \xff", "is not UTF-8 text (byte 3): save it as UTF-8"),
        ("a.txt", b"\xff\xfea", "is not UTF-16 text"),
        ("a.txt", b"MZ\0\0\1", "holds NUL characters"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', "a.jsonl:1 is not UTF-8 text"),
        ("a.jsonl", b'{"text": "a\\u0000b"}\n', "holds NUL characters"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "is not JSON"),
        ("a.jsonl", b"[" * 100_000 + b"\n", "is not JSON (too deep)"),
        ("a.jsonl", b'{"text": 1e999999}\n', "is not JSON"),
        ("a.jsonl", b'{"text": ' + b"9" * 5000 + b"}\n", "a.jsonl:1"),
        ("a.jsonl", b'{"text": {"text": "x"}}\n', "has no text under"),
        ("a.json", b'{"text": ' + b"[" * 100_000, "is not JSON (too deep)"),
        ("a.json", b"[1, 2, null]", "has no text under"),
        ("a.json", b'{"text": ' + b"9" * 5000 + b"}", "a.json"),
        ("a.json", b"not json", "is not JSON"),
        ("a.csv", b"name,age\nx,1\n", "has no column called text"),
        ("a.csv", b"\n\n", "has no column called text"),
        ("a.csv", b"title,text\nonly\n", "has fewer columns"),
        ("a.csv", b"title,text\nx,caf\xe9\n", "a.csv:2 is not UTF-8 text"),
        ("a.tsv", b"title\ttext\nx\ta\0b\n", "holds NUL characters"),
        ("a.txt", b"", "is empty"),
        ("a.png", b"\x89PNG", "kinds that are not read"),
    ],
)
def test_52_bad_bytes_are_left_out_with_a_reason_of_their_own(
    texts: Path, name: str, content: bytes, reason: str
) -> None:
    (texts / name).write_bytes(content)
    assert reason in left_out(texts)


@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.jsonl", "a.csv"])
def test_52_a_file_of_one_line_of_a_gigabyte_is_not_read_into_memory(
    texts: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WHOLE_LIMIT", 1 << 20)
    monkeypatch.setattr(reading, "LINE_LIMIT", 1 << 20)
    with (texts / name).open("wb") as file:
        file.write(b"x" * 10)
        file.truncate(1 << 30)  # a hole: no disk is filled
    assert "is over" in (reason := left_out(texts)) or "has a line of over" in reason


def test_52_a_table_cell_without_an_end_is_refused(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storyteller.training.corpus.rows.LINE_LIMIT", 10_000)
    (texts / "a.csv").write_text('title,text\nx,"' + "never closed\n" * 2000, encoding="utf-8")
    assert "is not a table (field larger than field limit" in left_out(texts)


@pytest.mark.parametrize("name", ["a.zip", "a.jsonl.gz", "a.txt.xz", "a.epub"])
def test_52_what_is_compressed_is_never_unpacked(texts: Path, name: str) -> None:
    with zipfile.ZipFile(texts / name, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("zeros.txt", b"\0" * 10_000_000)
    assert "is compressed: unpack it" in left_out(texts)


def test_52_a_million_files_end_with_advice(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MANY", 50)
    for number in range(60):
        (texts / f"{number}.txt").touch()
    with pytest.raises(CorpusError, match=r"over 50 names.*\.jsonl"):
        load_corpus(POETRY, [texts])


def test_52_more_text_than_memory_ends_with_advice(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LIMIT", 1000)
    (texts / "a.txt").write_text("many words " * 60, encoding="utf-8")
    (texts / "b.jsonl").write_text(json.dumps({"text": "other words " * 60}), encoding="utf-8")
    with pytest.raises(CorpusError, match=r"b\.jsonl is where it became too much"):
        load_corpus(POETRY, [texts])


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda path: path.unlink(), "was deleted while it was read"),
        (lambda path: path.write_text("another text"), "changed while it was read"),
        (lambda path: path.with_suffix(".new").rename(path), "changed while it was read"),
    ],
    ids=["deleted", "rewritten", "replaced"],
)
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_52_a_file_that_does_not_stay_the_same_is_left_out_whole(
    texts: Path, monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[Path], object], reason: str
) -> None:
    path = texts / name
    path.write_text(json.dumps({"text": "A text that will not stay."}) + "\n", encoding="utf-8")
    path.with_suffix(".new").write_text("x", encoding="utf-8")
    (texts / ".new").touch()
    by_kind = load._by_kind

    def meanwhile(file: object, found: files.Found, *rest: object) -> object:
        yield from by_kind(file, found, *rest)  # type: ignore[arg-type]  # as it was called
        if found.path == path:
            act(path)

    monkeypatch.setattr(load, "_by_kind", meanwhile)
    (texts / "good.txt").write_text(GOOD, encoding="utf-8")
    corpus = load_corpus(POETRY, [texts])
    assert [document.text for document in corpus.documents] == [GOOD]
    assert reason in [skipped.reason.partition(":")[0] for skipped in corpus.report.skipped]


_IMPORTS = """
from pathlib import Path
from storyteller.genres import find_genre
from storyteller.training.corpus.load import load_corpus
"""
_CLOSED = """
for name in ("a.txt", "b.txt"):
    Path(name).write_text("The name is " + name)
Path("a.txt").chmod(0)
report = load_corpus(find_genre("poetry"), [Path.cwd()]).report
print(report.documents, *(skipped.reason for skipped in report.skipped))
"""


def test_52_a_file_that_may_not_be_read_is_left_out() -> None:
    assert run_as_plain_user(_IMPORTS, _CLOSED) == "1 cannot be opened (Permission denied)\n"


def test_52_hidden_files_are_passed_over(texts: Path) -> None:
    for name in (".hidden.txt", ".git/a.txt", "a.txt"):
        (texts / name).parent.mkdir(exist_ok=True)
        (texts / name).write_text(f"The name is {name}", encoding="utf-8")
    report = load_corpus(POETRY, [texts]).report
    assert (report.documents, report.skipped) == (1, ())


# 53: names


@pytest.mark.parametrize("genre", ["../../x", "", "nonsense", "\x1b[31mred", "[/red]x", "a/b", "A"])
@pytest.mark.parametrize("command", ["add", "show", "clean", "remove"])
def test_53_what_is_no_genre_is_refused_and_shown_harmlessly(
    texts: Path, genre: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (texts / "a.txt").write_text(GOOD, encoding="utf-8")
    assert run(["corpus", command, genre, str(texts)]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../../x", "", "\x1b[31mred", "[/red]x", "a" * 65])
def test_53_no_genre_gets_such_a_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["genres", "add", name]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_53_a_file_name_reaches_the_terminal_as_plain_characters(
    texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b]0;owned\x07[@click=app.quit][b]\n\u202e"
    (texts / f"{hostile}.txt").write_text(f"{hostile}\n\n{GOOD}", encoding="utf-8")
    (texts / f"{hostile}.zip").touch()
    bad = os.fsencode(texts) + b"/\xff\xfe.txt"
    Path(os.fsdecode(bad)).write_text("Another text, to be told apart.", encoding="utf-8")
    assert run(["corpus", "show", "poetry", str(texts)]) == 0
    said = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & set(said.out + said.err)
    assert "[@click=app.quit][b]" in said.out
    assert run(["corpus", "show", "poetry", str(texts), "--json"]) == 0
    assert run(["corpus", "clean", "poetry", str(texts), "--out", str(texts.parent / "o.jsonl")]) == 0
