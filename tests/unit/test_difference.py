"""How two texts differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript import difference
from storyteller.manuscript.difference import changed_span, difference_lines

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


@given(_short, _short)
def test_the_lines_tell_both_texts(theirs: str, mine: str) -> None:
    lines = difference_lines(theirs, mine, context=100)
    if theirs == mine:
        assert lines == []
        return
    assert lines[0] == "@ line 1"
    assert "\n".join(line[1:] for line in lines[1:] if line[0] in " -") == theirs
    assert "\n".join(line[1:] for line in lines[1:] if line[0] in " +") == mine


def test_passages_say_where_they_are() -> None:
    theirs = "\n".join(f"line {number}" for number in range(1, 41))
    mine = theirs.replace("line 10", "tenth").replace("line 30\n", "")
    assert difference_lines(theirs, mine, context=1) == [
        "@ line 9",
        " line 9",
        "-line 10",
        "+tenth",
        " line 11",
        "@ line 29",
        " line 29",
        "-line 30",
        " line 31",
    ]


def test_a_change_of_newlines_is_seen() -> None:
    assert difference_lines("a\r\nb", "a\nb", context=0) == ["@ line 1", "-a\r", "+a"]


def test_a_passage_too_long_to_compare_is_one_block() -> None:
    lines = difference_lines("a\n" + "x\n" * 3000 + "z", "a\n" + "y\n" * 3000 + "z", context=1)
    assert lines[:2] == ["@ line 1", "-a"]
    assert len(lines) == 1 + 2 * 3002
