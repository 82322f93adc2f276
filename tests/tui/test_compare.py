"""Two versions of a text side by side."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storyteller.tui.dialogs.compare import differences


def test_what_differs_with_a_line_around_it() -> None:
    old = "one\ntwo\nthree\nfour\nfive\nsix\nseven"
    new = "one\ntwo\nthree\nFOUR\nfive\nsix\nseven"
    assert differences(old, new) == [(" ", "three"), ("-", "four"), ("+", "FOUR"), (" ", "five")]


def test_places_far_apart_are_told_apart() -> None:
    lines = [str(number) for number in range(40)]
    changed = [*lines]
    changed[5], changed[30] = "x", "y"
    marks = [mark for mark, _ in differences("\n".join(lines), "\n".join(changed))]
    assert marks == [" ", "-", "+", " ", "…", " ", "-", "+", " "]


def test_what_differs_late_in_a_long_paragraph_is_shown() -> None:
    start = "She read it twice. " * 100
    (_, old), (_, new) = differences(start + "Then she left.", start + "Then nobody came.")
    assert old.startswith("…")
    assert old.endswith("Then she left.")
    assert new.endswith("Then nobody came.")
    assert max(len(old), len(new)) < 200


def test_equal_texts_differ_in_nothing() -> None:
    assert differences("a\nb", "a\nb") == []


def test_another_line_end_is_a_difference_and_one_that_is_everywhere_is_not_shown() -> None:
    assert differences("a\r\nb", "a\nb") == [("-", "a\r"), ("+", "a"), (" ", "b")]
    assert differences("a\r\nb\r\n", "a\r\nc\r\n") == [(" ", "a"), ("-", "b"), ("+", "c"), (" ", "")]
    assert differences("a", "a\n") == [(" ", "a"), ("+", "")]


def test_characters_that_python_takes_for_line_ends_are_of_the_text() -> None:
    assert differences("a\u2028b", "a\u2028c") == [("-", "a\u2028b"), ("+", "a\u2028c")]


def test_a_book_against_nothing_is_cut_and_said() -> None:
    rows = differences("", "\n".join(map(str, range(5000))))
    assert len(rows) == 401
    assert rows[-1] == ("…", "4,600 more lines")


def test_what_would_take_minutes_is_not_tried() -> None:
    ((mark, words),) = differences("a\n" * 30_000, "b\n" * 30_000)
    assert mark == "…"
    assert "too long" in words


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
def test_marks_lead_from_one_to_the_other(old: list[str], new: list[str]) -> None:
    rows = differences("\n".join(old), "\n".join(new))
    removed = [line for mark, line in rows if mark == "-"]
    added = [line for mark, line in rows if mark == "+"]
    assert len(old) - len(removed) == len(new) - len(added)
