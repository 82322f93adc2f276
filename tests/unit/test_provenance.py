from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript.provenance import Origin, Provenance, cut, merged, written

ORIGINS: tuple[Origin, ...] = get_args(Origin)
RUNS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(ORIGINS)), max_size=12)


def characters(provenance: Provenance) -> list[Origin]:
    return [origin for size, origin in provenance.runs(0, provenance.length) for _ in range(size)]


def spread(runs: list[tuple[int, Origin]]) -> list[Origin]:
    return [origin for size, origin in runs for _ in range(size)]


@given(RUNS, st.data())
def test_runs_are_what_a_list_of_characters_is(runs: list[tuple[int, Origin]], data: st.DataObject) -> None:
    model = spread(runs)
    provenance = Provenance()
    provenance.put(0, 0, runs)
    for _ in range(6):
        start = data.draw(st.integers(0, len(model)))
        end = data.draw(st.integers(start, len(model)))
        fresh = data.draw(RUNS)
        model[start:end] = spread(fresh)
        provenance.put(start, end, fresh)
        assert characters(provenance) == model
        assert provenance.length == len(model)
        first = data.draw(st.integers(0, len(model)))
        last = data.draw(st.integers(first, len(model)))
        assert spread(provenance.runs(first, last)) == model[first:last]
        assert provenance.runs(0, len(model)) == merged(provenance.runs(0, len(model)))
        for span in provenance.spans(first, last):
            assert span.origin != "mine"
            assert set(model[span.start : span.end]) == {span.origin}


@given(RUNS)
def test_json_brings_back_the_same(runs: list[tuple[int, Origin]]) -> None:
    provenance = Provenance()
    provenance.put(0, 0, runs)
    again = Provenance.from_json(provenance.to_json(), provenance.length)
    assert characters(again) == characters(provenance)
    assert again.to_json() == provenance.to_json()


@pytest.mark.parametrize("data", ["x", "12", "3a4", "3a 4e", "3z", "-3a"])
def test_what_is_no_provenance_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="provenance"):
        Provenance.from_json(data, 3)


def test_a_provenance_of_another_text_is_refused() -> None:
    with pytest.raises(ValueError, match="another text"):
        Provenance.from_json("3a", 4)


@given(RUNS, st.integers(0, 40), st.integers(0, 40))
def test_a_cut_is_a_slice(runs: list[tuple[int, Origin]], start: int, end: int) -> None:
    assert spread(cut(runs, start, end)) == spread(runs)[start : max(start, end)]


def marks(before: str, origins: str, start: int, end: int, typed: str) -> tuple[str, str]:
    """The text and its origins after the writer replaced what stands from `start` to `end`."""
    names: dict[str, Origin] = {"m": "mine", "a": "accepted", "e": "edited"}
    provenance = Provenance()
    provenance.put(0, 0, [(1, names[letter]) for letter in origins])
    written(provenance, start, before[start:end], typed, before[:start], before[end:])
    return before[:start] + typed + before[end:], "".join(origin[0] for origin in characters(provenance))


@pytest.mark.parametrize(
    ("before", "origins", "at", "typed", "text", "after"),
    [
        # A letter put into, before or behind a word of the model's makes the word edited.
        ("the rain fell", "aaaaaaaaaaaaa", (6, 6), "x", "the raxin fell", "aaaaeeeeeaaaaa"),
        ("the rain fell", "aaaaaaaaaaaaa", (8, 8), "s", "the rains fell", "aaaaeeeeeaaaaa"),
        ("the rain fell", "aaaaaaaaaaaaa", (4, 4), "t", "the train fell", "aaaaeeeeeaaaaa"),
        # A space or a comma beside it does not, nor does a word of one's own.
        ("the rain fell", "aaaaaaaaaaaaa", (8, 8), ",", "the rain, fell", "aaaaaaaamaaaaa"),
        ("the rain fell", "aaaaaaaaaaaaa", (4, 4), "cold ", "the cold rain fell", "aaaammmmmaaaaaaaaa"),
        # A word cut in two: both halves.
        ("the rain fell", "aaaaaaaaaaaaa", (6, 6), " ", "the ra in fell", "aaaaeemeeaaaaa"),
        # Letters taken out of a word; a whole word taken out leaves its neighbours alone.
        ("the rain fell", "aaaaaaaaaaaaa", (6, 8), "", "the ra fell", "aaaaeeaaaaa"),
        ("the rain fell", "aaaaaaaaaaaaa", (4, 9), "", "the fell", "aaaaaaaa"),
        # Two words joined.
        ("the rain fell", "aaaaaaaaaaaaa", (3, 4), "", "therain fell", "eeeeeeeaaaaa"),
        # The writer's own word stays the writer's, also where the model finished it.
        ("the rain fell", "mmmmmmmmmmmmm", (6, 6), "x", "the raxin fell", "mmmmmmmmmmmmmm"),
        ("the rain fell", "mmmmmmaaaaaaa", (8, 8), "s", "the rains fell", "mmmmmmeeeaaaaa"),
        # Han characters are words: the neighbours are not touched.
        ("雨が降る", "aaaa", (2, 2), "ま", "雨がま降る", "aamaa"),
    ],
)
def test_what_the_writer_changes_is_edited_by_the_word(
    before: str, origins: str, at: tuple[int, int], typed: str, text: str, after: str
) -> None:
    assert marks(before, origins, *at, typed) == (text, after)


@given(RUNS, st.text("ab c漢", max_size=6), st.data())
def test_writing_never_makes_anything_accepted(
    runs: list[tuple[int, Origin]], typed: str, data: st.DataObject
) -> None:
    origins = spread(runs)
    text = data.draw(st.text("ab c漢", min_size=len(origins), max_size=len(origins)))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    new, after = marks(text, "".join(origin[0] for origin in origins), start, end, typed)
    assert len(new) == len(after)
    assert after.count("a") <= [origin[0] for origin in origins[:start] + origins[end:]].count("a")
    assert "a" not in after[start : start + len(typed)]
