"""The list of takes: its rows, its words, and what differs between two takes."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.presets import shipped_presets
from storyteller.manuscript.takes import ShownTake, TakeTree
from storyteller.tui.takes_list import (
    OWN_SETTINGS,
    Around,
    ago,
    differing,
    entries_at,
    entries_of_all,
    particulars,
    row_words,
)
from storyteller.uuid7 import Uuid7Source

NOON = datetime(2026, 3, 12, 12).timestamp()
PRESETS = shipped_presets()


def made(seconds_ago: float) -> str:
    return Uuid7Source(lambda: round((NOON - seconds_ago) * 1000))()


def take(
    text: str,
    *,
    anchor: int = 0,
    seconds_ago: float = 90,
    logprob: float | None = -0.5,
    shown_ms: float = 4_200,
) -> ShownTake:
    return ShownTake(
        id=made(seconds_ago),
        generation="g",
        index=0,
        text=text,
        ids=(1, 2, 3),
        seed=77,
        settings=msgspec.to_builtins(PRESETS["balanced"].settings, str_keys=True),
        finish="stop",
        mean_logprob=logprob,
        shown_ms=shown_ms,
        anchor=anchor,
        genre="stories",
        model="starter",
    )


def tree_of(*takes: ShownTake) -> TakeTree:
    tree = TakeTree()
    for each in takes:
        tree.add(each)
    return tree


AROUND = Around(PRESETS, NOON, made(600))


def test_the_takes_of_a_place_are_numbered_and_counted() -> None:
    tree = tree_of(take(" one"), take(" two"), take(" one"), take(" else", anchor=9))
    found = entries_at(tree, 0)
    assert [(entry.first_words, entry.number, entry.count, entry.times) for entry in found] == [
        ("one", 1, 2, 2),
        ("two", 2, 2, 1),
    ]
    assert [entry.newest for entry in found] == [False, True]
    assert [entry.take.anchor for entry in entries_of_all(tree)] == [0, 0, 9]
    assert entries_at(tree, 5) == []


def test_a_row_says_how_likely_how_often_when_and_with_what() -> None:
    first, second = entries_at(tree_of(take(" one"), take(" one"), take(" two", logprob=None)), 0)
    assert row_words(first, AROUND) == ["0.61", "2 times", "1 min ago", "balanced", "seed 77"]
    assert row_words(second, AROUND)[:2] == ["newest", "ended on a sentence"]


def test_the_particulars_say_everything() -> None:
    (entry,) = entries_at(tree_of(take(" one")), 0)
    assert particulars(entry, AROUND) == [
        "take 1 of 1",
        "mean probability 0.61",
        "3 tokens",
        "ended on a sentence",
        "seen for 4 s",
        "1 min ago",
        "starter",
        "stories",
        "balanced",
        "seed 77",
    ]
    (unseen,) = entries_at(tree_of(take(" one", shown_ms=0)), 0)
    assert "never seen" in particulars(unseen, AROUND)


def test_a_take_of_an_earlier_session_says_so() -> None:
    assert AROUND.when(take("x", seconds_ago=7_300)) == "2 h ago, an earlier session"
    assert AROUND.when(msgspec.structs.replace(take("x"), id="no uuid")) == ""


def test_settings_of_no_preset_are_own_settings() -> None:
    changed = msgspec.structs.replace(take("x"), settings={"temperature": 1.375})
    other_version = msgspec.structs.replace(take("x"), settings={"temperature": "warm"})
    assert AROUND.preset(changed) == AROUND.preset(other_version) == OWN_SETTINGS


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (3_600, "1 h ago"),
        (86_399, "23 h ago"),
        (86_400, "11 March"),
        (400 * 86_400, "5 February 2025"),
    ],
)
def test_how_long_ago(seconds: float, words: str) -> None:
    assert ago(NOON - seconds, NOON) == words


def test_only_words_that_differ_are_marked() -> None:
    text = " Then she put on her coat."
    assert [text[start:end] for start, end in differing(text, " Then he put on her hat.")] == ["she", "coat."]
    assert differing(text, text) == []
    assert differing(text, "") == [(1, len(text))]


@given(st.text(alphabet="ab \n", max_size=30), st.text(alphabet="ab \n", max_size=30))
def test_what_is_not_marked_stands_in_both(text: str, other: str) -> None:
    marked = differing(text, other)
    common = "".join(
        letter for place, letter in enumerate(text) if not any(start <= place < end for start, end in marked)
    ).split()
    words = iter(other.split())
    assert all(word in words for word in common)
