"""Open and save without an edit gives back the same bytes, whatever they are."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.save import save

if TYPE_CHECKING:
    from pathlib import Path

_CORPUS = {
    "empty": b"",
    "CRLF": b"one\r\ntwo\r\n",
    "CR": b"one\rtwo\r",
    "mixed newlines": b"one\r\ntwo\nthree\rfour\n\r\n\n\r",
    "no final newline": b"one\ntwo",
    "BOM": codecs.BOM_UTF8 + b"one\n",
    "BOM twice": codecs.BOM_UTF8 * 2 + b"one\n",
    "BOM alone": codecs.BOM_UTF8,
    "BOM and broken UTF-8": codecs.BOM_UTF8 + b"\xff\xfe\xc3",
    "form feed and vertical tab": b"one\x0ctwo\x0bthree",
    "file, group and record separators": b"a\x1cb\x1dc\x1ed\x1fe",
    "next line": "a\x85b".encode(),
    "line and paragraph separators": "a\u2028b\u2029c".encode(),
    "NUL": b"a\0b\0\0",
    "ESC": b"\x1b[31mred\x1b]0;title\x07",
    "latin-1": "Où est le cœur".replace("œ", "oe").encode("latin-1"),
    "latin-1 next line": b"caf\xe9\x85",
    "windows-1252": "“Où est le cœur…”".encode("cp1252"),
    "all bytes": bytes(range(256)),
    "UTF-16 LE": codecs.BOM_UTF16_LE + "one\r\ntwo 😀".encode("utf-16-le"),
    "UTF-16 BE": codecs.BOM_UTF16_BE + "one\ntwo 😀".encode("utf-16-be"),
    "UTF-16 with a lone surrogate": codecs.BOM_UTF16_LE + b"a\0\x3d\xd8b\0",
    "UTF-16 of odd length": codecs.BOM_UTF16_LE + b"a\0b",
    "UTF-16 mark alone": codecs.BOM_UTF16_BE,
    "UTF-32": codecs.BOM_UTF32_LE + "one".encode("utf-32-le"),
    "lone surrogate in UTF-8": b"a\xed\xa0\xbdb",
    "overlong UTF-8": b"a\xc0\x80b",
    "mostly UTF-8": "déjà vu — ".encode() * 3 + b"\xe9",
    "combining": "e\u0301e\u0323\u0301".encode(),
    "ZWJ emoji": "👩‍👩‍👧‍👦 🏳️‍🌈".encode(),
    "right to left": "שלום עולם مرحبا \u202e".encode(),
}


def _is_identical(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    loaded = load(path)
    save(path, loaded.text, loaded.encoding, expected=loaded.fingerprint)
    assert path.read_bytes() == data


# safety 24
@pytest.mark.parametrize("data", _CORPUS.values(), ids=_CORPUS)
def test_24_open_and_save_is_identical(tmp_path: Path, data: bytes) -> None:
    _is_identical(tmp_path / "novel.md", data)


# safety 24
@example(b"\xff\xfe\x00")
@example(b"\xef\xbb\xbf\xed\xa0\x80")
@given(
    st.one_of(
        st.binary(max_size=60), st.lists(st.sampled_from(list(_CORPUS.values())), max_size=4).map(b"".join)
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
def test_24_open_and_save_is_identical_for_any_bytes(tmp_path: Path, data: bytes) -> None:
    _is_identical(tmp_path / "novel.md", data)


# safety 24
@pytest.mark.parametrize(
    "data",
    [b"word " * (2 << 20), "mot étrange ".encode() * 800_000, b"line\n" * 1_000_000, b"line\r\n" * 1_000_000],
    ids=["10 MB in one line", "10 MB of UTF-8 in one line", "1 M lines", "1 M lines of CRLF"],
)
def test_24_large_documents_are_identical_too(tmp_path: Path, data: bytes) -> None:
    _is_identical(tmp_path / "novel.md", data)


# safety 24
@pytest.mark.parametrize("data", _CORPUS.values(), ids=_CORPUS)
def test_24_a_recovered_text_saves_to_the_same_bytes_plus_the_edit(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "novel.md"
    path.write_bytes(data)
    loaded = load(path)
    journal = Journal.open(path, loaded.text, loaded.fingerprint, encoding=loaded.encoding)
    journal.update(loaded.text + "x", (0, 0))
    journal.close(discard=False)
    (recovery,) = find_recoveries(path)
    save(path, recovery.text[:-1], recovery.encoding, expected=loaded.fingerprint)
    assert path.read_bytes() == data


# safety 24
def test_24_a_large_document_is_recovered_too(tmp_path: Path) -> None:
    text = "word " * (2 << 20)
    journal = Journal.open(tmp_path / "novel.md", text, None)
    journal.update(text + "more", (0, 0))
    assert journal.flush(timeout_s=30)
    journal.update("even " + text + "more", (0, 0))
    journal.close(discard=False, timeout_s=30)
    (recovery,) = find_recoveries(tmp_path / "novel.md")
    assert recovery.text == "even " + text + "more"
