from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript.totals import Totals

SIZES = st.lists(st.integers(0, 5), min_size=1, max_size=200)


@given(SIZES, st.data())
def test_totals_after_any_edits_are_those_of_a_fresh_sum(sizes: list[int], data: st.DataObject) -> None:
    totals = Totals(sizes)
    for _ in range(5):
        start = data.draw(st.integers(0, len(sizes)))
        stop = data.draw(st.integers(start, len(sizes)))
        fresh = data.draw(st.lists(st.integers(0, 5), max_size=5))
        if stop - start < len(sizes) or fresh:
            sizes[start:stop] = fresh
            totals.splice(start, stop, fresh)
        index = data.draw(st.integers(0, len(sizes)))
        assert totals.before(index) == sum(sizes[:index])
        assert totals.total == sum(sizes)
        assert list(totals) == sizes


@given(SIZES, st.integers(-2, 1100))
def test_an_offset_is_found_in_the_size_it_falls_into(sizes: list[int], offset: int) -> None:
    totals = Totals(sizes)
    index = totals.find(offset)
    assert totals.before(index) <= max(offset, 0)
    if index < len(sizes) - 1:
        assert max(offset, 0) < totals.before(index + 1)


def test_nothing_can_be_found_in_nothing() -> None:
    with pytest.raises(IndexError):
        Totals().find(0)
