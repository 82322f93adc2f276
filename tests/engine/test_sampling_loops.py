"""The loop detector: what is a loop, what is style, and where it began."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.sampling import find_loop
from storyteller.engine.sampling.loops import LONGEST_PERIOD


def test_a_text_without_repetition_is_no_loop() -> None:
    assert find_loop([]) is None
    assert find_loop([7]) is None
    assert find_loop(range(500)) is None


def test_the_loop_begins_at_its_second_copy() -> None:
    assert find_loop([9, 8, *[1, 2, 3, 4] * 4]) == 6
    assert find_loop([9, 8, *[1, 2, 3, 4] * 4, 1]) == 6
    assert find_loop([5] * 10) == 1
    sentence = list(range(100, 125))
    assert find_loop([*range(40), *sentence, *sentence]) == 40 + 25


def test_style_is_no_loop() -> None:
    laughing = [3, *[1, 2] * 4]
    refrain = list(range(12))
    for text in (laughing, [*refrain, 50, *refrain], refrain * 2, [4] * 9, [1, 2, 3] * 3):
        assert find_loop(text) is None


def test_the_prompt_is_never_gone_back_into() -> None:
    looped = [9, *[1, 2, 3, 4] * 4]
    assert find_loop(looped, floor=3) == 5
    assert find_loop(looped, floor=12) == 12
    assert find_loop(looped, floor=len(looped)) is None


@given(
    st.lists(st.integers(0, 5), max_size=30), st.lists(st.integers(0, 5), min_size=1, max_size=LONGEST_PERIOD)
)
def test_a_stretch_said_ten_times_is_a_loop_and_going_back_ends_it(
    before: list[int], stretch: list[int]
) -> None:
    text = [*before, *stretch * 10]
    start = find_loop(text)
    assert start is not None
    assert start <= len(before) + len(stretch)  # nothing of the second copy is left
    while (start := find_loop(text)) is not None:
        assert 0 < start < len(text)
        del text[start:]
