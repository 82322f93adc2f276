"""The tree of takes: spots that follow the text, walks round a spot, twins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript.takes import ShownTake, TakeTree


def take(identifier: str, text: str = "", anchor: int = 0) -> ShownTake:
    return ShownTake(id=identifier, generation="g", index=0, text=text or identifier, anchor=anchor)


def tree_of(*takes: ShownTake) -> TakeTree:
    tree = TakeTree()
    for each in takes:
        tree.add(each)
    return tree


def ids(takes: tuple[ShownTake, ...]) -> list[str]:
    return [each.id for each in takes]


def test_a_spot_lists_its_takes_oldest_first() -> None:
    tree = tree_of(take("z", anchor=5), take("a", anchor=5), take("m", anchor=9))
    assert ids(tree.at(5)) == ["z", "a"]
    assert ids(tree.at(9)) == ["m"]
    assert tree.at(6) == ()
    assert ids(tree.at(7, reach=2)) == ["z", "a", "m"]
    assert len(tree) == 3


def test_equal_texts_of_a_spot_are_listed_once_and_counted() -> None:
    tree = tree_of(take("a", "he ran"), take("b", "she ran"), take("c", "he ran"), take("d", "he ran", 40))
    assert ids(tree.at(0)) == ["a", "b"]
    assert [tree.times(each) for each in tree.at(0)] == [2, 1]
    assert len(tree.all()) == 4


def test_a_take_can_be_forgotten() -> None:
    tree = tree_of(take("a", "he ran"), take("b", "he ran"), take("c", anchor=7))
    tree.remove("a")
    tree.remove("nobody")
    assert (ids(tree.at(0)), ids(tree.all())) == (["b"], ["b", "c"])
    tree.remove("c")
    assert tree.anchors() == (("b", 0),)
    tree.shift(0, 0, 3)
    tree.add(take("c", anchor=7))
    assert ids(tree.all()) == ["b", "c"]


def test_a_walk_goes_round() -> None:
    tree = tree_of(take("a"), take("b"), take("c"))
    forwards = ["a"]
    for _ in range(3):
        following = tree.next(0, forwards[-1])
        assert following is not None
        forwards.append(following.id)
    assert forwards == ["a", "b", "c", "a"]
    back = tree.previous(0, "a")
    assert back is not None
    assert back.id == "c"


def test_a_walk_without_a_take_begins_at_its_end() -> None:
    tree = tree_of(take("a"), take("b"))
    first, last = tree.next(0, None), tree.previous(0, None)
    assert first is not None
    assert last is not None
    assert (first.id, last.id) == ("a", "b")
    assert tree.next(99, None) is None


def test_a_walk_from_a_twin_goes_on_from_the_one_that_is_listed() -> None:
    tree = tree_of(take("a", "same"), take("b", "other"), take("c", "same"))
    following = tree.next(0, "c")
    assert following is not None
    assert following.id == "b"


def test_a_take_that_grows_stays_one_take_in_its_place() -> None:
    tree = tree_of(take("a", "He", anchor=3))
    tree.shift(0, 0, 10)
    tree.add(take("a", "He ran", anchor=3))
    assert [(each.text, each.anchor) for each in tree.all()] == [("He ran", 13)]


def test_time_on_the_screen_is_noted() -> None:
    tree = tree_of(take("a"))
    tree.shown("a", 1234.0)
    tree.shown("nobody", 1.0)
    assert tree.at(0)[0].shown_ms == 1234.0


def test_what_is_typed_at_a_spot_comes_after_it() -> None:
    tree = tree_of(take("a", anchor=5))
    tree.shift(5, 0, 7)
    assert ids(tree.at(5)) == ["a"]


def test_spots_that_meet_become_one_oldest_first() -> None:
    tree = tree_of(take("late", anchor=20), take("early", anchor=8), take("later", anchor=8))
    tree.shift(8, 12, 0)
    assert ids(tree.at(8)) == ["late", "early", "later"]


class Naive:
    """Spots as marks between the characters of a text that is really there: inserted first, then removed."""

    def __init__(self, length: int, anchors: list[int]) -> None:
        self.cells: list[int | None] = [None] * length  # None: a character; a number: the mark of a take
        for mark, anchor in sorted(enumerate(anchors), key=lambda item: -item[1]):
            self.cells.insert(anchor, mark)

    def shift(self, start: int, removed: int, added: int) -> None:
        place = self._after(start)
        self.cells[place:place] = [None] * added
        at, left = place + added, removed
        while left:
            if self.cells[at] is None:
                del self.cells[at]
                left -= 1
            else:
                at += 1

    def anchors(self) -> dict[int, int]:
        found, characters = {}, 0
        for cell in self.cells:
            if cell is None:
                characters += 1
            else:
                found[cell] = characters
        return found

    def _after(self, start: int) -> int:
        """Behind `start` characters and every mark that stands there."""
        characters = place = 0
        while place < len(self.cells) and (characters < start or self.cells[place] is not None):
            characters += self.cells[place] is None
            place += 1
        return place


@given(
    st.lists(st.integers(0, 30), max_size=8),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12), st.integers(0, 12)), max_size=12),
)
def test_spots_follow_edits_as_marks_in_a_real_text_do(
    anchors: list[int], edits: list[tuple[int, int, int]]
) -> None:
    length = 30
    tree = tree_of(*(take(str(mark), anchor=anchor) for mark, anchor in enumerate(anchors)))
    naive = Naive(length, anchors)
    for wanted_start, wanted_removed, added in edits:
        start = min(wanted_start, length)
        removed = min(wanted_removed, length - start)
        tree.shift(start, removed, added)
        naive.shift(start, removed, added)
        length += added - removed
        assert {int(each.id): each.anchor for each in tree.all()} == naive.anchors()
        offsets = [offset for _, offset in tree.anchors()]
        assert offsets == sorted(offsets)
        for offset in set(offsets):
            here = [int(each.id) for each in tree.at(offset)]
            assert here == sorted(here)


def test_ten_thousand_spots_follow_a_keystroke_at_once() -> None:
    tree = tree_of(*(take(str(number), anchor=number * 10) for number in range(10_000)))
    for _ in range(100):
        tree.shift(0, 0, 1)
    assert tree.anchors()[0] == ("0", 0)
    assert tree.anchors()[-1] == ("9999", 99_990 + 100)
