"""The one-row lines: what gives way when there is no room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from storyteller.tui.lines import Piece, fit, line_up

pieces = st.lists(st.builds(Piece, st.text(max_size=12), st.integers(0, 9)), max_size=6)


def test_the_lowest_rank_goes_first() -> None:
    kept = fit([Piece("novel.md", 9), Piece("chapter 3", 1), Piece("12,480 words", 5)], 24)
    assert [piece.text for piece in kept] == ["novel.md", "12,480 words"]


def test_left_and_right_stand_at_the_edges() -> None:
    assert line_up([Piece("a")], [Piece("b")], 10).plain == "a        b"


def test_the_last_piece_is_cut_with_an_ellipsis() -> None:
    assert line_up([Piece("a long name.md")], [], 8).plain == "a long…"


def test_controls_and_markup_are_shown_as_they_are() -> None:  # safety 16 78
    assert line_up([Piece("[/red]\x1b[2J\n")], [], 40).plain == "[/red]␛[2J␊"


@given(pieces, pieces, st.integers(0, 60))
def test_a_line_never_exceeds_its_width(left: list[Piece], right: list[Piece], width: int) -> None:
    assert cell_len(line_up(left, right, width).plain) <= width
