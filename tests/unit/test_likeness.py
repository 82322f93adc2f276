"""How alike two texts are, against the plain definitions."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript.likeness import characters_kept, edit_distance, four_gram_overlap

SHORT = st.text(alphabet="abcé海\U0001f600 ", max_size=30)


def levenshtein(one: str, other: str) -> int:
    """The table, cell by cell."""
    above = list(range(len(other) + 1))
    for row, character in enumerate(one, 1):
        cells = [row]
        for column, second in enumerate(other, 1):
            cells.append(min(above[column] + 1, cells[-1] + 1, above[column - 1] + (character != second)))
        above = cells
    return above[-1]


@given(SHORT, SHORT)
def test_the_bit_vectors_give_the_table_s_distance(one: str, other: str) -> None:
    expected = min(1.0, levenshtein(one, other) / len(one)) if one else float(bool(other))
    assert edit_distance(one, other) == pytest.approx(expected)


@given(st.text(), st.text())
def test_bounds_and_identity_hold_for_any_text(one: str, other: str) -> None:
    assert edit_distance(one, one) == 0.0
    assert four_gram_overlap(one, one) == 1.0
    assert characters_kept(one, one) == len(one)
    assert 0.0 <= edit_distance(one, other) <= 1.0
    assert 0.0 <= four_gram_overlap(one, other) <= 1.0
    assert four_gram_overlap(one, other) == four_gram_overlap(other, one)
    assert 0 <= characters_kept(one, other) <= min(len(one), len(other))


def test_a_long_text_is_compared_in_bounded_time() -> None:
    one, other = "lorem ipsum " * 50_000, "dolor sit am" * 50_000
    began = time.perf_counter()
    assert edit_distance(one, other) > 0.9
    assert edit_distance(one, one[:-3] + "x") == pytest.approx(3 / len(one))
    assert four_gram_overlap(one, other) < 0.1
    assert characters_kept(one, one[:300_000] + one[300_001:]) == len(one) - 1
    assert characters_kept(one, other) < 20_100
    assert time.perf_counter() - began < 10  # cell by cell it would be hours


@given(st.text("ab", max_size=20), st.text("ab", max_size=20), st.text("ab", max_size=20))
def test_common_ends_stand_and_long_texts_are_measured_as_short_ones(
    start: str, middle: str, end: str
) -> None:
    assert characters_kept(start + middle + end, start + end) >= len(start + end)
    long = "-" * 30_000
    short, padded = (start + middle, start + end), (start + middle + long, start + end + long)
    assert edit_distance(*padded) * len(padded[0]) == pytest.approx(levenshtein(*short))
    assert four_gram_overlap(*padded) > 0.99


def test_an_edit_in_the_middle_keeps_what_stands_around_it() -> None:
    assert characters_kept("She put on her coat.", "She put on her green coat.") == 20
    assert characters_kept("She put on her coat.", "") == 0
    assert characters_kept("abcd", "xyz") == 0
    assert characters_kept("abc-def", "abc+def") == 6
    assert characters_kept("the other way", "now the other road") == 10


def test_unrelated_prose_keeps_next_to_nothing() -> None:
    one = "The harbour lay grey under the first snow of the year."
    other = "My uncle collected clocks, none of which agreed."
    assert characters_kept(one, other) <= 10
    assert four_gram_overlap(one, other) < 0.1


def test_repeats_count_in_the_overlap() -> None:
    assert four_gram_overlap("abcdabcd", "abcd") == pytest.approx(2 / 6)
