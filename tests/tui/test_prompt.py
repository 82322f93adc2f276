"""The model's context: near enough to the caret, and with a beginning that stays while one types."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storyteller.tui.prompt import BLOCK, REACH, beginning, context_before

prose = st.integers(1, 400).map(
    lambda n: "".join(f"Line {i} of the manuscript is here.\n" for i in range(n * 10))
)


def test_a_short_text_is_shown_whole() -> None:
    text = "One.\nTwo."
    assert context_before(text, 4).text == "One."
    assert context_before(text, len(text), header="A tale.").header == "A tale."


@given(prose, st.floats(0, 1))
def test_the_beginning_is_a_line_start_at_the_promised_distance(text: str, where: float) -> None:
    caret = int(len(text) * where)
    start = beginning(text, caret)
    assert start == 0 or text[start - 1] == "\n"
    if start:
        assert REACH - BLOCK < caret - start <= REACH + BLOCK


@given(prose, st.integers(0, BLOCK - 1))
def test_typing_does_not_move_the_beginning_inside_a_block(text: str, typed: int) -> None:
    caret = REACH + (len(text) // BLOCK) * BLOCK
    longer = text.ljust(caret, "x") + "y" * BLOCK
    assert beginning(longer, caret) == beginning(longer, caret + typed)


def test_without_any_newline_the_block_itself_begins() -> None:
    assert beginning("x" * 100_000, 100_000) == (100_000 - REACH) // BLOCK * BLOCK


def test_controls_and_carriage_returns_do_not_reach_the_model() -> None:
    assert context_before("a\r\nb\x1b\x00c", 7).text == "a\nbc"
