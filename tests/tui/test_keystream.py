"""Bytes from terminals, good and bad, through the splitter before Textual's parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual._xterm_parser import XTermParser
from textual.events import Key

from storyteller.tui.driver import without_shift
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


@pytest.mark.parametrize("modifiers", [b"2", b"5", b"6", b"10"])
def test_f3_with_a_modifier_is_no_report_of_the_cursor(modifiers: bytes) -> None:
    sent = b"a\x1b[1;" + modifiers + b"Rb"
    expected = [f"a\x1b[13;{modifiers.decode()}~b"]
    assert fed(sent, full=False) == expected
    for cut in range(4, len(sent)):
        assert fed(sent[:cut], sent[cut:], full=False) == expected, cut
    for cut in range(len(sent)):
        assert fed(sent[:cut], sent[cut:]) == expected, cut


@pytest.mark.parametrize("report", [b"\x1b[1;1R", b"\x1b[1;80R", b"\x1b[24;2R", b"\x1b[1;5C"])
def test_what_is_not_f3_passes(report: bytes) -> None:
    assert fed(report, full=False) == [report.decode()]
    assert fed(report[:4], report[4:], full=False) == [report.decode()]


def test_shift_and_f3_arrive_as_such() -> None:
    (piece,) = fed(b"\x1b[1;2R")
    assert isinstance(piece, str)
    assert [event.key for event in XTermParser().feed(piece) if isinstance(event, Key)] == ["shift+f3"]


@pytest.mark.parametrize(
    ("sent", "key", "character"),
    [
        ("\x1b[127;2u", "backspace", "\x7f"),
        ("\x1b[127;130u", "backspace", "\x7f"),  # with the number lock on
        ("\x1b[13;2u", "enter", "\r"),
        ("\x1b[32;2u", "space", " "),
        ("\x1b[1;2C", "shift+right", None),
    ],
)
def test_shift_held_over_backspace_enter_or_space_changes_nothing(
    sent: str, key: str, character: str | None
) -> None:
    (event,) = [without_shift(event) for event in XTermParser().feed(sent)]
    assert isinstance(event, Key)
    assert (event.key, event.character) == (key, character)


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
