"""Guesses from what stands there already, and when they are worth making."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.writing.draft import LONGEST, Guesser, Judgement, Lookup

ids = st.lists(st.integers(0, 3), max_size=40)


def by_hand(seen: list[int], most: int) -> tuple[int, tuple[int, ...]]:
    """The guess by looking through everything: the longest match, and its last place."""
    for size in (4, 3, 2):
        for end in range(len(seen) - 1, size - 1, -1):
            if seen[end - size : end] == seen[-size:] and len(seen) > size:
                guessed = seen[end : end + most]
                while len(guessed) < most:
                    guessed.append([*seen, *guessed][end + len(guessed)])
                return size, tuple(guessed)
    return 0, ()


@given(ids, ids, st.integers(1, LONGEST))
def test_a_guess_is_what_followed_the_longest_match_last(
    prompt: list[int], take: list[int], most: int
) -> None:
    guesser = Guesser(Lookup(prompt))
    guesser.follow(take)
    assert guesser.guess(most) == by_hand([*prompt, *take], most)


@given(ids, st.lists(ids, min_size=1, max_size=6))
def test_going_back_leaves_no_trace(prompt: list[int], takes: list[list[int]]) -> None:
    wandering, lookup = Guesser(Lookup(prompt)), Lookup(prompt)
    for take in takes:
        wandering.follow(take)
        straight = Guesser(lookup)
        straight.follow(take)
        assert wandering.guess(5) == straight.guess(5)


def test_a_phrase_that_repeats_goes_on_repeating() -> None:
    guesser = Guesser(Lookup([9, 8, 1, 2, 1, 2]))
    guesser.follow([1, 2])
    assert guesser.guess(6) == (4, (1, 2, 1, 2, 1, 2))


def test_nothing_stands_there_yet() -> None:
    assert Guesser(Lookup([])).guess(4) == (0, ())
    assert Guesser(Lookup([1])).guess(4) == (0, ())
    assert Guesser(Lookup([1, 2, 3, 4, 5])).guess(4) == (0, ())


def timed(cost: float, lanes: int = 1) -> Judgement:
    """A judge who has seen that a row more costs `cost` of a pass."""
    judge = Judgement()
    judge.passed(lanes, lanes, 1.0)
    for _ in range(9):
        judge.passed(lanes + 2, lanes, 1.0 + 2 * cost)
    return judge


def test_dear_rows_are_guessed_less() -> None:
    assert (
        timed(0.02).worth(4, LONGEST, 1)
        > timed(0.2).worth(4, LONGEST, 1)
        > timed(0.6).worth(4, LONGEST, 1)
        == 0
    )


def test_a_take_among_several_must_save_more() -> None:
    assert timed(0.1, lanes=1).worth(4, LONGEST, 1) > timed(0.1, lanes=4).worth(4, LONGEST, 4)


def test_right_guesses_make_longer_ones_and_wrong_ones_end_them() -> None:
    judge = timed(0.1)
    before = judge.worth(2, LONGEST, 1)
    for _ in range(20):
        judge.fared(2, 5, 5, 1)
    assert judge.worth(2, LONGEST, 1) > before
    for _ in range(80):
        judge.fared(2, 0, 1, 1)
    assert judge.worth(2, LONGEST, 1) == 0
    for _ in range(3000):
        judge.passed(1, 1, 1.0)
        judge.fared(2, 0, 0, 1)
    assert judge.worth(2, LONGEST, 1) > 0  # the text may repeat itself by now


def test_a_pass_that_was_held_up_says_little() -> None:
    judge = Judgement()
    judge.passed(1, 1, 1.0)
    judge.passed(3, 1, 50.0)
    assert judge.worth(4, LONGEST, 1) > 0


def test_few_are_guessed_until_the_cost_is_known() -> None:
    judge = Judgement()
    assert judge.worth(4, LONGEST, 1) == 0  # there is nothing yet to compare a pass with
    judge.passed(1, 1, 1.0)
    assert judge.worth(4, LONGEST, 1) == 2
    assert timed(0.02).worth(4, LONGEST, 1) > 2


def test_dear_rows_are_tried_again() -> None:
    judge = timed(1.0)
    assert judge.worth(4, LONGEST, 1) == 0
    for _ in range(400):
        judge.passed(1, 1, 1.0)
    assert judge.worth(4, LONGEST, 1) == 2


def test_a_text_that_repeated_itself_leaves_little_credit_to_the_next() -> None:
    judge = timed(0.1)
    for _ in range(500):
        judge.passed(8, 1, 1.7)
        judge.fared(4, 7, 7, 1)
    wasted = 0.0
    while count := judge.worth(4, LONGEST, 1):
        judge.passed(1 + count, 1, 1.0 + 0.1 * count)
        judge.fared(4, 0, count, 1)
        wasted += 0.1 * count
    assert wasted <= 2.0 + 0.1 * LONGEST + 0.2


@given(st.lists(st.tuples(st.sampled_from([2, 3, 4]), st.booleans()), max_size=300))
def test_what_wrong_guesses_cost_is_bounded(story: list[tuple[int, bool]]) -> None:
    judge, cost, passes, wasted = timed(0.1), 0.1, 10, 0.0
    for size, lucky in story:
        count = judge.worth(size, LONGEST, 1)
        right = count if lucky and size == 4 else 0
        judge.passed(1 + count, 1, 1.0 + cost * count)
        judge.fared(size, right, count, 1)
        passes += 1
        wasted += cost * count - right
        assert wasted <= 0.5 + 0.01 * passes + cost * LONGEST + 1e-6
