"""Bytes from terminals, good and bad, through the splitter before Textual's parser."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storyteller.tui.keystream import KeyStream, Pasted

START, END = b"\x1b[200~", b"\x1b[201~"


def fed(*chunks: bytes, full: bool = True) -> list[str | Pasted]:
    stream = KeyStream()
    return _joined([piece for chunk in chunks for piece in stream.feed(chunk, full=full)])


def _joined(pieces: list[str | Pasted]) -> list[str | Pasted]:
    joined: list[str | Pasted] = []
    for piece in pieces:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def test_keys_pass_unchanged() -> None:
    assert fed(b"abc\x1b[A", full=False) == ["abc\x1b[A"]


def test_an_escape_key_at_the_end_of_a_short_read_is_not_held_back() -> None:
    assert fed(b"\x1b", full=False) == ["\x1b"]


def test_invalid_utf8_becomes_replacement_characters() -> None:  # safety 31
    assert fed(b"a\xff\xfeb") == ["a\ufffd\ufffdb"]


def test_a_character_cut_in_two_reads_arrives_whole() -> None:
    assert fed("é".encode()[:1], "é".encode()[1:]) == ["é"]


def test_x10_mouse_reports_past_column_95_vanish() -> None:  # safety 31
    assert fed(b"a\x1b[M \xff\xc3b") == ["ab"]
    assert fed(b"a\x1b[M", b" \xff", b"\xc3b") == ["ab"]


def test_sgr_mouse_reports_pass() -> None:
    assert fed(b"\x1b[<0;120;4M") == ["\x1b[<0;120;4M"]


def test_a_paste_is_one_piece_and_its_controls_are_text() -> None:
    assert fed(b"x" + START + b"one\x1b[Mtwo" + END + b"y") == ["x", Pasted("one\x1b[Mtwo"), "y"]


def test_what_follows_an_end_marker_inside_a_paste_is_keys() -> None:  # safety 31
    assert fed(START + b"a" + END + b"b" + END) == [Pasted("a"), "b" + END.decode()]


def test_a_paste_without_end_is_given_out_when_nothing_more_comes() -> None:  # safety 31
    stream = KeyStream()
    assert stream.feed(START + b"lost") == []
    assert stream.pasting
    assert stream.end_paste() == [Pasted("lost")]
    assert stream.feed(b"k") == ["k"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x1b")), st.integers(1, 9))
def test_any_paste_cut_anywhere_is_the_same_paste(text: str, size: int) -> None:  # safety 31
    data = b"<" + START + text.encode() + END + b">"
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert fed(*chunks) == ["<", Pasted(text), ">"]


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_no_bytes_raise(chunks: list[bytes]) -> None:  # safety 31
    stream = KeyStream()
    for chunk in chunks:
        stream.feed(chunk)
    stream.end_paste()
