"""What becomes of accepted text: the place that follows the text, the moments to look, the measures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.feedback.survival import Place, Sighting, SurvivalWatch, measure, stands


class Page:
    """A text and a watch that is told of every edit, as the editor tells it."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.watch = SurvivalWatch()

    def replace(self, start: int, removed: int, new: str) -> None:
        self.text = self.text[:start] + new + self.text[start + removed :]
        self.watch.shifted(start, removed, len(new))

    def accept(self, take: str, start: int, text: str, now: float = 0.0) -> None:
        self.replace(start, 0, text)
        self.watch.accepted(take, Place(start, start + len(text)), text, now)

    def standing(self) -> dict[str, str]:
        return {seen.take: seen.now for seen in self.watch.saved(0.0, self.text)}


def test_text_around_a_place_is_not_its() -> None:
    page = Page("Before. After.")
    page.accept("t", 8, "Accepted. ")
    page.replace(0, 6, "Long before")
    page.replace(len(page.text), 0, " The end.")
    page.replace(page.text.index("Accepted"), 0, "Right in front. ")
    page.replace(page.text.index("After"), 0, "Right behind. ")
    assert page.standing() == {"t": "Accepted. "}


def test_what_is_changed_inside_is() -> None:
    page = Page("()")
    page.accept("t", 1, "She ran home.")
    page.replace(page.text.index("ran"), 3, "walked slowly")
    assert page.standing() == {"t": "She walked slowly home."}


def test_what_is_written_over_all_of_it_stands_in_its_place() -> None:
    page = Page("()")
    page.accept("t", 1, "She ran home.")
    page.replace(1, 13, "He slept.")
    assert page.standing() == {"t": "He slept."}


def test_a_removal_across_an_edge_takes_its_part_only() -> None:
    page = Page("abc|xyz")
    page.accept("t", 3, "0123456789")
    page.replace(11, 4, "NEW")
    assert page.standing() == {"t": "01234567"}
    page.replace(1, 4, "OLD")
    assert page.standing() == {"t": "234567"}
    page.replace(0, len(page.text), "")
    assert page.standing() == {"t": ""}


class Cells:
    """The place as a set of real characters: those put in between two of its own, or in their stead, belong to it."""

    def __init__(self, before: int, inside: int, after: int) -> None:
        self.cells = [False] * before + [True] * inside + [False] * after

    def shift(self, start: int, removed: int, added: int) -> None:
        gone = self.cells[start : start + removed]
        left, right = self.cells[:start], self.cells[start + removed :]
        within = (bool(gone) and all(gone)) or (
            not gone and any(left) and left[-1] and any(right) and right[0]
        )
        self.cells = left + [within] * added + right

    def bounds(self) -> tuple[int, int] | None:
        inside = [at for at, its in enumerate(self.cells) if its]
        return (inside[0], inside[-1] + 1) if inside else None


@given(
    st.integers(0, 6),
    st.integers(1, 8),
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6), st.integers(0, 5)), max_size=8),
)
def test_a_place_follows_edits_as_its_characters_do(
    before: int, inside: int, after: int, edits: list[tuple[int, int, int]]
) -> None:
    cells, place = Cells(before, inside, after), Place(before, before + inside)
    for wanted_start, wanted_removed, added in edits:
        start = min(wanted_start, len(cells.cells))
        removed = min(wanted_removed, len(cells.cells) - start)
        cells.shift(start, removed, added)
        place.shift(start, removed, added)
        assert 0 <= place.start <= place.end <= len(cells.cells)
        bounds = cells.bounds()
        if bounds is None:  # nothing of it is left, and nothing comes back
            assert place.start == place.end
            return
        assert (place.start, place.end) == bounds


def test_pieces_of_one_take_are_one_text() -> None:
    page = Page("x")
    page.accept("t", 1, " one", now=0.0)
    page.accept("t", 5, " two", now=10.0)
    page.replace(5, 4, "")
    page.watch.given_back("t", " two")
    page.accept("t", 5, " two", now=20.0)
    (seen,) = page.watch.due(35.0, page.text)
    assert (seen.accepted, seen.now, seen.horizon, seen.elapsed_s) == (" one two", " one two", "15", 15.0)


def test_what_is_given_back_or_undone_is_no_longer_watched() -> None:
    page = Page()
    page.accept("t", 0, "word ")
    page.accept("u", 5, "more")
    page.replace(0, 5, "")
    page.watch.given_back("t", "word ")
    page.watch.given_back("t", "word ")
    page.watch.forget("u")
    assert page.standing() == {}
    assert page.watch.next_due() is None


def test_line_ends_of_the_file_are_no_change() -> None:
    watch = SurvivalWatch()
    for at, text in ((1, "\r\nShe"), (6, "\r\nwent")):
        watch.shifted(at, 0, len(text))
        watch.accepted("t", Place(at, at + len(text)), text.replace("\r\n", "\n"), 0.0)
    (seen,) = watch.saved(1.0, "x\r\nShe\r\nwent\r\nhome")
    assert (seen.accepted, seen.now) == ("\nShe\nwent", "\nShe\nwent")


def test_each_horizon_is_seen_once_when_it_has_passed() -> None:
    page = Page()
    page.accept("t", 0, "text", now=100.0)
    seen = []
    for now in range(100, 1000, 5):
        assert page.watch.next_due() is None or page.watch.next_due() != now - 5
        seen += [(found.horizon, found.elapsed_s) for found in page.watch.due(float(now), page.text)]
    assert seen == [("15", 15.0), ("30", 30.0), ("120", 120.0), ("300", 300.0), ("600", 600.0)]
    assert page.watch.next_due() is None


def test_a_timer_that_slept_sees_only_the_last_horizon() -> None:
    page = Page()
    page.accept("t", 0, "text", now=0.0)
    assert page.watch.next_due() == 15.0
    assert [found.horizon for found in page.watch.due(400.0, page.text)] == ["300"]
    assert page.watch.next_due() == 600.0


def test_save_and_close_see_everything() -> None:
    page = Page()
    page.accept("t", 0, "one", now=0.0)
    page.accept("u", 3, "two", now=1.0)
    assert [(seen.take, seen.horizon) for seen in page.watch.saved(2.0, page.text)] == [
        ("t", "save"),
        ("u", "save"),
    ]
    assert [(seen.horizon, seen.elapsed_s) for seen in page.watch.closed(2.0, page.text)] == [
        ("close", 2.0),
        ("close", 1.0),
    ]
    assert list(page.watch.places()) == [("t", 0, 3), ("u", 3, 6)]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("The rain fell on the roof.", True),
        ("The rain fell on the tiles.", True),
        ("The snow fell on the barn.", True),
        ("Nothing of the sort happened.", False),
        ("", False),
    ],
)
def test_half_of_its_length_edited_still_counts_as_kept(now: str, expected: bool) -> None:
    look = measure(Sighting("t", "save", "The rain fell on the roof.", now, 1.0))
    assert stands(look) is expected
    assert look.length == 26
    assert look.now == now
