"""Where two texts differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript import difference
from storyteller.manuscript.difference import changed_span

if TYPE_CHECKING:
    from collections.abc import Iterator

_short = st.text("ab\n😀", max_size=14)


@pytest.fixture(params=[1, 2, 5, 8192], autouse=True, scope="module")
def block(request: pytest.FixtureRequest) -> Iterator[None]:
    """Short texts, so that blocks of a few characters have to meet every case of a long one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(difference, "_BLOCK", request.param)
        yield


@given(_short, _short)
def test_a_span_is_the_least_that_makes_one_text_of_the_other(old: str, new: str) -> None:
    span = changed_span(old, new)
    kept = old[: span.start], old[span.start + span.removed :]
    assert kept[0] + span.added + kept[1] == new
    if span.removed and span.added:
        assert old[span.start] != span.added[0]
        assert old[span.start + span.removed - 1] != span.added[-1]
    assert bool(span.size) == (old != new)
