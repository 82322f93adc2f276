from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript.offer import Kind, Offer, Piece

TEXT = " She left. Nobody saw her go.\nThe rain went on."


def test_an_offer_grows_and_is_ready() -> None:
    offer = Offer("g", 2)
    assert (offer.phase, offer.text, offer.generation, offer.take) == ("streaming", "", "g", 2)
    offer.feed(" She")
    offer.feed(" left")
    assert offer.text == " She left"
    offer.finish(" She left.")
    assert (offer.phase, offer.text) == ("ready", " She left.")


def test_pieces_are_taken_and_given_back_in_turn() -> None:
    offer = Offer("g", text=TEXT, streaming=False)
    assert offer.take_word() == " She"
    assert offer.take_sentence() == " left."
    assert offer.take_line() == " Nobody saw her go."
    assert offer.text == "\nThe rain went on."
    assert offer.taken == (
        Piece(0, " She", "word"),
        Piece(4, " left.", "sentence"),
        Piece(10, " Nobody saw her go.", "line"),
    )
    assert offer.give_back() == " Nobody saw her go."
    assert offer.take_all() == " Nobody saw her go.\nThe rain went on."
    assert offer.text == ""
    assert offer.take_all() == ""
    assert [offer.give_back() for _ in range(4)][-1] == ""
    assert offer.text == TEXT


def test_any_number_of_characters_can_be_taken() -> None:
    offer = Offer("g", text=TEXT, streaming=False)
    assert offer.take_first(7) == " She le"
    assert offer.taken == (Piece(0, " She le", "caret"),)
    assert offer.take_first(0) == offer.take_first(-1) == ""
    assert offer.take_first(1000) == TEXT.removeprefix(" She le")
    assert offer.taken[-1].kind == "all"
    assert offer.text == ""


def test_typing_what_is_offered_takes_it() -> None:
    offer = Offer("g", text=" 漢字 x", streaming=False)
    assert offer.type_through(" ")
    assert offer.type_through("漢字")  # an input method commits several characters at once
    assert not offer.type_through("字")
    assert offer.text == " x"
    assert offer.taken[-1] == Piece(1, "漢字", "typed")
    assert offer.give_back() == ""
    assert not Offer("g").type_through("")


def test_the_final_text_is_the_authority() -> None:
    offer = Offer("g", text=" She left. Nobody sa")
    offer.take_word()
    offer.finish(" She left.")
    assert offer.text == " left."
    longer = Offer("g", text=" She")
    longer.finish(" She left.")
    assert longer.text == " She left."


def test_what_was_taken_past_a_rewind_is_the_writers() -> None:
    offer = Offer("g", text=" She left. Nobody")
    offer.take_sentence()
    offer.rewind(12)
    assert (offer.whole, offer.kept, offer.text, offer.astray) == (" She ", " She left.", "", False)
    offer.feed("left")
    assert (offer.text, offer.astray) == ("", False)  # so far the model goes the same way again
    offer.feed(". He came.")
    assert offer.text == " He came."
    offer.rewind(15)
    offer.feed("s stayed.")
    assert offer.astray
    assert (offer.kept, offer.text) == (" She left.", "")


def test_a_rewind_past_the_beginning_leaves_nothing() -> None:
    offer = Offer("g", text="abc")
    offer.rewind(10)
    assert offer.text == ""


def test_hidden_is_fed_and_comes_back() -> None:
    offer = Offer("g", text="a")
    offer.hide()
    offer.feed("b")
    assert (offer.phase, offer.text) == ("hidden", "ab")
    offer.finish()
    assert offer.phase == "hidden"
    offer.show()
    assert (offer.phase, offer.streaming) == ("ready", False)


def test_control_characters_cut_by_a_chunks_border_stay_outside() -> None:  # safety 45
    """safety 45: an escape sequence, a line end and a bidi control come in pieces."""
    offer = Offer("g")
    for chunk in ["a\x1b", "[31mb\r", "\nc\u202e", "d\x9b"]:
        offer.feed(chunk)
    assert offer.text == "a[31mb\ncd"
    offer.rewind(2)
    assert offer.text == "a[31mb\nc"


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.text("ab. \n漢\u0301", max_size=8)),
        st.tuples(st.just("rewind"), st.integers(0, 10)),
        st.tuples(st.just("take"), st.sampled_from(["all", "word", "sentence", "line"])),
        st.tuples(st.just("back"), st.none()),
        st.tuples(st.just("type"), st.integers(1, 4)),
        st.tuples(st.just("finish"), st.text("ab. \n漢", max_size=8)),
    ),
    max_size=30,
)


@given(OPERATIONS)
def test_what_is_kept_and_what_is_offered_never_overlap_nor_gape(
    operations: list[tuple[str, object]],
) -> None:
    offer = Offer("g")
    kept = ""
    for name, value in operations:
        if name == "feed":
            offer.feed(str(value))
        elif name == "rewind":
            assert isinstance(value, int)
            offer.rewind(value)
        elif name == "finish":
            offer.finish(str(value))
        elif name == "take":
            kept += offer.take_piece(kind_of(value))
        elif name == "back":
            given_back = offer.give_back()
            kept = kept[: len(kept) - len(given_back)]
        else:
            assert isinstance(value, int)
            typed = offer.text[:value]
            assert offer.type_through(typed) == bool(typed)
            kept += typed
        assert offer.kept == kept == "".join(piece.text for piece in offer.taken)
        assert [piece.start for piece in offer.taken] == [
            sum(len(piece.text) for piece in offer.taken[:index]) for index in range(len(offer.taken))
        ]
        if offer.text:
            assert offer.kept + offer.text == offer.whole
        assert offer.astray == (not offer.whole.startswith(kept) and not kept.startswith(offer.whole))


def kind_of(value: object) -> Kind:
    for kind in ("all", "word", "sentence", "line"):
        if value == kind:
            return kind
    raise AssertionError(value)


@pytest.mark.parametrize("kind", ["all", "word", "sentence", "line"])
def test_taking_by_any_piece_comes_to_the_end(kind: Kind) -> None:
    offer = Offer("g", text=TEXT * 3, streaming=False)
    taken = ""
    while piece := offer.take_piece(kind):
        taken += piece
    assert taken == TEXT * 3
