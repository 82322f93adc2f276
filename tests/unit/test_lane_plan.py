"""Where the lanes of a braid stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.tui.lane_plan import columns, likely_lines, plan, rows_for, text_width


@pytest.mark.parametrize(
    ("width", "expected"),
    [(40, [1, 1, 1, 1, 1]), (80, [2, 1, 2, 1, 2]), (100, [2, 3, 2, 1, 3]), (160, [2, 3, 4, 5, 3])],
)
def test_lanes_stand_side_by_side_where_lines_stay_long_enough_to_read(
    width: int, expected: list[int]
) -> None:
    assert [columns(count, width) for count in range(2, 7)] == expected
    assert columns(1, width) == columns(1, 0) == 1


@given(st.integers(1, 6), st.integers(0, 300), st.integers(0, 120), st.integers(1, 500))
def test_lanes_never_take_the_manuscript_and_the_lines_from_the_screen(
    count: int, width: int, height: int, wanted: int
) -> None:
    found = plan(count, width, height, wanted)
    assert found.beside * (count // found.beside) == count
    assert found.rows >= 2
    assert found.area <= max(1, height - 3)
    if not found.scrolled:
        assert found.area == found.rows * count // found.beside
        assert found.rows <= wanted


def test_a_box_where_there_is_room_for_it_and_scrolling_where_there_is_none_for_all() -> None:
    assert plan(3, 100, 30, 12).boxed
    tight = plan(6, 40, 24, 12)
    assert (tight.boxed, tight.scrolled, tight.rows) == (False, False, 3)
    assert plan(6, 40, 12, 12).scrolled
    assert plan(3, 100, 30, 12).area == 12


def test_what_a_take_will_need_follows_from_its_length() -> None:
    width = text_width(3, 100)
    assert width == 29
    assert likely_lines(60, width) == 11
    assert rows_for(11) == 13
