"""Text as it streams: whole characters, whole line ends, nothing of a stop string, and the way back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.prompt.detokenise import Detokeniser
from storyteller.text import writable_text

ALPHABET = "ab\r\n\t …é海🜁\x1b\x00\u202e\ufffd"
TEXT = st.text(alphabet=ALPHABET, max_size=40)
STOPS = st.lists(st.text(alphabet="ab\n海", min_size=1, max_size=4), max_size=3)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


PLACES = st.lists(st.integers(0, 400), max_size=30)


@given(text=TEXT, places=PLACES)
def test_the_pieces_joined_are_the_whole(text: str, places: list[int]) -> None:
    detokeniser = Detokeniser()
    shown = "".join(detokeniser.feed(piece) for piece in cut(text.encode(), places))
    assert shown + detokeniser.finish() == writable_text(text)
    assert detokeniser.text == writable_text(text)


@given(data=st.binary(max_size=40), places=PLACES)
def test_bytes_that_are_no_character_are_replaced_however_they_are_cut(
    data: bytes, places: list[int]
) -> None:
    whole = Detokeniser()
    expected = whole.feed(data) + whole.finish()
    detokeniser = Detokeniser()
    shown = "".join(detokeniser.feed(piece) for piece in cut(data, places))
    assert shown + detokeniser.finish() == expected
    assert writable_text(data.decode("utf-8", "replace")).startswith(expected)


@given(text=TEXT, places=PLACES, stops=STOPS)
def test_nothing_of_a_stop_string_is_ever_shown(text: str, places: list[int], stops: list[str]) -> None:
    detokeniser = Detokeniser(stop=stops)
    shown = ""
    for piece in cut(text.encode(), places):
        shown += detokeniser.feed(piece)
        if detokeniser.stopped:
            break
    shown += detokeniser.finish()
    clean = writable_text(text)
    ends = [clean.find(stop) + len(stop) for stop in stops if stop in clean]
    assert detokeniser.stopped == bool(ends)
    if ends:
        first = min(ends)
        starts = [first - len(stop) for stop in stops if clean[:first].endswith(stop)]
        assert shown == clean[: min(starts)]
    else:
        assert shown == clean


@given(text=TEXT, places=PLACES, back=st.integers(0, 10), stops=STOPS, rest=TEXT)
def test_going_back_is_as_if_the_tokens_had_never_come(
    text: str, places: list[int], back: int, stops: list[str], rest: str
) -> None:
    pieces = cut(text.encode(), places)
    back = min(back, len(pieces))
    kept = pieces[: len(pieces) - back]
    expected = Detokeniser(stop=stops)
    for piece in kept:
        expected.feed(piece)
    detokeniser = Detokeniser(stop=stops)
    shown = "".join(detokeniser.feed(piece) for piece in pieces)
    taken = detokeniser.rewind(back)
    shown = shown[: len(shown) - taken]
    assert detokeniser.text == expected.text
    assert expected.text.startswith(shown)
    shown += detokeniser.feed(rest.encode()) + detokeniser.finish()
    expected.feed(rest.encode())
    expected.finish()
    assert shown == detokeniser.text == expected.text


def test_what_is_typed_already_is_not_shown_again() -> None:
    detokeniser = Detokeniser(typed=b" light")
    assert detokeniser.feed(b" li") == ""
    assert detokeniser.still_typed == b"ght"
    assert detokeniser.feed(b"ghthouse") == "house"
    assert detokeniser.still_typed == b""
    assert detokeniser.rewind(1) == 5
    assert detokeniser.still_typed == b"ght"


def test_tokens_that_go_another_way_are_shown_from_there() -> None:
    detokeniser = Detokeniser(typed=b"  ")
    assert detokeniser.feed(b" x") == "x"
    assert detokeniser.still_typed == b""
    assert detokeniser.feed(b" y") == " y"


def test_more_is_held_back_on_request() -> None:
    detokeniser = Detokeniser()
    assert detokeniser.feed(b"abc", hold=2) == "a"
    assert detokeniser.feed(b"d") == "bcd"
    assert detokeniser.feed(b"ef", hold=1) == "e"
    assert detokeniser.rewind(1) == 1
    assert detokeniser.feed(b"g") == "g"
    assert detokeniser.finish() == ""


def test_half_a_character_at_the_end_is_dropped() -> None:
    detokeniser = Detokeniser()
    assert detokeniser.feed("海".encode()[:2]) == ""
    assert detokeniser.finish() == ""
    assert detokeniser.text == ""
