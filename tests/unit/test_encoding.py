"""Bytes to text and back."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript.encoding import UTF8, CannotEncode, Encoding, decode, encode

_FRENCH = "Où est le cœur ? «Là», dit-elle — déjà…"


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_come_back(data: bytes) -> None:
    text, encoding = decode(data)
    assert encode(text, encoding) == data


@given(st.sampled_from([codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE]), st.binary())
def test_any_bytes_come_back_after_a_mark(mark: bytes, data: bytes) -> None:
    text, encoding = decode(mark + data)
    assert encode(text, encoding) == mark + data


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        (b"", "", UTF8),
        (b"plain\r\n", "plain\r\n", UTF8),
        (_FRENCH.encode(), _FRENCH, UTF8),
        (codecs.BOM_UTF8 + _FRENCH.encode(), _FRENCH, Encoding("utf-8", codecs.BOM_UTF8)),
        (
            codecs.BOM_UTF16_LE + _FRENCH.encode("utf-16-le"),
            _FRENCH,
            Encoding("utf-16-le", codecs.BOM_UTF16_LE),
        ),
        (
            codecs.BOM_UTF16_BE + "😀".encode("utf-16-be"),
            "😀",
            Encoding("utf-16-be", codecs.BOM_UTF16_BE),
        ),
        (
            codecs.BOM_UTF16_LE + b"\x3d\xd8",
            "\ud83d",
            Encoding("utf-16-le", codecs.BOM_UTF16_LE, "surrogatepass"),
        ),
        ("déjà vu".encode("latin-1"), "déjà vu", Encoding("latin-1")),
        (_FRENCH.encode("cp1252"), _FRENCH, Encoding("cp1252")),
        (_FRENCH.encode() + b"\xff", _FRENCH + "\udcff", Encoding("utf-8", errors="surrogateescape")),
    ],
)
def test_the_likely_encoding_is_found(data: bytes, text: str, encoding: Encoding) -> None:
    assert decode(data) == (text, encoding)


def test_a_character_that_does_not_fit_is_named_and_utf8_offered() -> None:
    with pytest.raises(CannotEncode) as caught:
        encode("naïve\nshe waited — long", Encoding("latin-1"))
    refusal = caught.value
    assert (refusal.character, refusal.offset, refusal.utf8_fits) == ("—", 17, True)
    assert refusal.message == (
        "“—” (EM DASH, U+2014) in line 2 cannot be written in Latin-1. Save it as UTF-8, or replace that character."
    )
    assert encode("naïve —", UTF8) == "naïve —".encode()


def test_half_a_character_is_refused_and_shown_safely() -> None:
    with pytest.raises(CannotEncode) as caught:
        encode("a\ud83d", UTF8)
    assert not caught.value.utf8_fits
    assert "delete it" in caught.value.message
    caught.value.message.encode("utf-8")


@pytest.mark.parametrize(
    ("name", "label"), [("utf-8", "UTF-8"), ("cp1252", "Windows-1252"), ("latin-1", "Latin-1")]
)
def test_labels_are_for_people(name: str, label: str) -> None:
    assert next(e for e in (UTF8, Encoding("cp1252"), Encoding("latin-1")) if e.name == name).label == label
