"""Steps of the history: what grows into one, and that undoing brings back every origin."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyteller.manuscript.provenance import Provenance
from storyteller.tui.editor.history import Change, History
from storyteller.tui.editor.provisional import Provisional, common_prefix
from tests.stubs.page_app import assert_whole, open_page

KEYS = st.lists(st.sampled_from(["x", " ", "漢", "back", "delete", "word back", "word delete"]), max_size=14)
TEXT = "the rain fell. 雨が降る on"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, len(TEXT)), KEYS), max_size=4))
def test_letters_grow_into_steps_and_undoing_brings_back_every_origin(
    bursts: list[tuple[int, list[str]]],
) -> None:
    asyncio.run(_play(bursts))


async def _play(bursts: list[tuple[int, list[str]]]) -> None:
    accepted = Provenance()
    accepted.put(0, 0, [(4, "accepted"), (4, "edited"), (len(TEXT) - 8, "accepted")])
    async with open_page() as (page, _, _app):
        page.load(TEXT, provenance=accepted)
        acts = {
            "back": page.action_delete_left,
            "delete": page.action_delete_right,
            "word back": page.action_delete_word_left,
            "word delete": page.action_delete_word_right,
        }
        edits = 0
        for place, keys in bursts:
            page.place_caret(min(place, page.settled_length))
            for key in keys:
                revision = page.revision
                if key in acts:
                    acts[key]()
                else:
                    page._replace_via_keyboard(key, *page.selection)
                edits += page.revision != revision
        after = page.exact_text, page.provenance.to_json()
        steps = 0
        while page._steps.last is not None:
            page.undo()
            steps += 1
            assert_whole(page)
        assert steps <= edits
        assert (page.exact_text, page.provenance.to_json()) == (TEXT, f"4a4e{len(TEXT) - 8}a")
        for _ in range(steps):
            page.redo()
        assert (page.exact_text, page.provenance.to_json()) == after


def test_letters_in_a_row_are_one_step_but_not_for_ever() -> None:
    history = History(clock=lambda: 0.0)
    for place in range(250):
        history.record(Change(place, "", "x", (place, place), (place + 1, place + 1), []))
    lengths = []
    while (change := history.pop_undo()) is not None:
        lengths.append(len(change.inserted))
    assert lengths == [50, 100, 100]
    assert history.can_redo
    history.record(Change(0, "", "x", (0, 0), (1, 1), []))
    assert not history.can_redo


def test_what_is_taken_back_cannot_be_redone() -> None:
    history = History()
    history.record(Change(0, "", "pasted", (0, 0), (6, 6), []))
    assert history.take_back() is not None
    assert history.take_back() is None
    assert history.pop_redo() is None
    history.record(Change(0, "", "pasted", (0, 0), (6, 6), []))
    history.clear()
    assert history.pop_undo() is None


@given(st.text("abc", max_size=8), st.text("xyz", max_size=5), st.integers(0, 8))
def test_offsets_pass_around_what_is_provisional(settled: str, text: str, start: int) -> None:
    start = min(start, len(settled))
    stretch = Provisional(start, text)
    document = settled[:start] + text + settled[start:]
    for offset in range(len(settled) + 1):
        for after in (False, True):
            assert stretch.settled(stretch.placed(offset, after=after)) == offset
        if offset < len(settled):
            assert document[stretch.placed(offset, after=True)] == settled[offset]
    for offset in range(len(document) + 1):
        inside = stretch.start <= offset <= stretch.end
        assert stretch.settled(offset) == (start if inside else offset - len(text) * (offset > start))


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_a_common_prefix_is_common_and_no_shorter_than_it_could_be(first: str, second: str) -> None:
    length = common_prefix(first, second)
    assert first[:length] == second[:length]
    assert length == min(len(first), len(second)) or first[length] != second[length]
