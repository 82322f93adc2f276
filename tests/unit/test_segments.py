from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript.segments import (
    count_change,
    count_words,
    is_cjk,
    is_letter,
    letters_after,
    letters_before,
    next_cluster,
    next_line,
    next_sentence,
    next_word,
    previous_cluster,
    word_at,
    word_left,
    word_right,
)

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1f8\U0001f1ea"
# Letters, marks, joiners, flags, jamo, kana, controls: what makes or breaks a character as people see it.
PIECES = st.sampled_from(
    [
        *["a", "é", "e\u0301", "\u0301", "\u200d", FAMILY, "\U0001f44d\U0001f3fd", FLAG, "\U0001f1f8"],
        *["한", "\u1112\u1161\u11ab", "\u1161", "क्षि", "漢", "か", "。", " ", "\t", "—", "'", "."],
        *["\r", "\n", "\r\n", "\x00", "\ud800", "A", "7", "-"],
    ]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)


def boundaries(text: str) -> list[int]:
    found = [0]
    while found[-1] < len(text):
        found.append(next_cluster(text, found[-1]))
    return found


@pytest.mark.parametrize(
    "cluster",
    [
        FAMILY,
        "\U0001f44d\U0001f3fd",
        FLAG,
        "e\u0301",
        "한",
        "\u1112\u1161\u11ab",
        "क्षि"[:2],
        "\u2764\ufe0f",
        "\U0001f3f4\U000e0067\U000e0062\U000e007f",
        "\r\n",
    ],
)
def test_a_character_as_people_see_it_is_stepped_over_whole(cluster: str) -> None:
    text = f"a{cluster}b"
    assert next_cluster(text, 1) == 1 + len(cluster)
    assert previous_cluster(text, 1 + len(cluster)) == 1


def test_two_flags_are_two_characters() -> None:
    assert boundaries(FLAG + FLAG + "x") == [0, 2, 4, 5]
    assert previous_cluster(FLAG + FLAG, 4) == 2


@given(TEXTS)
def test_stepping_back_is_the_inverse_of_stepping_on(text: str) -> None:
    steps = boundaries(text)
    for before, after in pairwise(steps):
        assert before < after
        assert previous_cluster(text, after) == before


@given(TEXTS)
def test_no_mark_begins_a_character_but_at_a_start(text: str) -> None:
    for index in boundaries(text)[1:-1]:
        if unicodedata.category(text[index]) == "Mn":
            assert text[index - 1] in "\r\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("Hello, world.", 2),
        ("don't well-known l’homme", 3),
        ("1,000.5 words", 2),
        ("—…'\"", 0),
        ("漢字と kana", 4),
        ("e\u0301te\u0301 हिन्दी עִבְרִית", 3),
        ("one\ntwo\r\nthree", 3),
        ("snake_case", 2),
    ],
)
def test_words_are_counted_as_writers_count_them(text: str, words: int) -> None:
    assert count_words(text) == words


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_a_changed_count_is_a_fresh_count(left: str, removed: str, inserted: str, right: str) -> None:
    around = left[-100:], right[:100]
    change = count_change(around[0], removed, inserted, around[1])
    assert count_words(left + removed + right) + change == count_words(left + inserted + right)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (' Then she, "said" no.', [" Then", " she,", ' "said"', " no."]),
        ("word—word", ["word—", "word"]),
        ("don't go", ["don't", " go"]),
        ("他说：“好。”", ["他", "说：“", "好。”"]),
        ("\n\nThe rain", ["\n\nThe", " rain"]),
        ("... well", ["...", " well"]),
        ("end  ", ["end", "  "]),
        (f"{FAMILY}! yes", [f"{FAMILY}!", " yes"]),
    ],
)
def test_words_of_an_offer(text: str, pieces: list[str]) -> None:
    assert split_by(text, next_word) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (" She left. Nobody saw.", [" She left.", " Nobody saw."]),
        ('"No!" she said. "Go."', ['"No!" she said.', ' "Go."']),
        ("Mr. Lamb paid 3.50 to J. R. Webb. Then", ["Mr. Lamb paid 3.50 to J. R. Webb.", " Then"]),
        ("Well... maybe. Yes", ["Well... maybe.", " Yes"]),
        ("他走了。天黑了！", ["他走了。", "天黑了！"]),
        ("「はい。」と言った。", ["「はい。」", "と言った。"]),
        ("A heading\n\nThe text. More", ["A heading", "\n\nThe text.", " More"]),
        ("(Gone.) Back", ["(Gone.)", " Back"]),
        ("It was the doctor's. He left.", ["It was the doctor's.", " He left."]),
        ("'J. R. Webb', said I. Nobody", ["'J. R. Webb', said I. Nobody"]),
    ],
)
def test_sentences_of_an_offer(text: str, pieces: list[str]) -> None:
    assert split_by(text, next_sentence) == pieces


def test_lines_of_an_offer() -> None:
    assert split_by("one two\nthree\n\nfour", next_line) == ["one two", "\nthree", "\n\nfour"]


def split_by(text: str, boundary: object) -> list[str]:
    assert callable(boundary)
    pieces: list[str] = []
    while text:
        end = boundary(text)
        pieces.append(text[:end])
        text = text[end:]
    return pieces


@given(TEXTS)
def test_every_piece_makes_progress_and_cuts_no_character(text: str) -> None:
    text = text.replace("\r", "")  # an offer has none
    whole = set(boundaries(text))
    for boundary in (next_word, next_sentence, next_line):
        index = 0
        while index < len(text):
            end = boundary(text, index)
            assert index < end <= len(text)
            assert end in whole
            index = end


@given(TEXTS, st.integers(0, 60))
def test_moving_by_words_makes_progress(text: str, index: int) -> None:
    index = min(index, len(text))
    right, left = word_right(text, index), word_left(text, index)
    assert right > index or index == len(text)
    assert left < index or index == 0
    start, end = word_at(text, index)
    assert 0 <= start <= min(index, max(len(text) - 1, 0)) <= end <= len(text)


def test_moving_by_words() -> None:
    text = "The rain, isn't it"
    assert [word_right(text, at) for at in (0, 4, 8, 10)] == [4, 8, 10, 16]
    assert [word_left(text, at) for at in (18, 16, 10, 8)] == [16, 10, 8, 4]
    assert word_at(text, 12) == (10, 15)
    assert word_right("漢字かな", 0) == 1


@given(TEXTS)
def test_letters_at_the_ends_are_letters(text: str) -> None:
    after, before = letters_after(text), letters_before(text)
    assert all(is_letter(character) for character in text[:after])
    assert after == len(text) or not is_letter(text[after])
    assert all(is_letter(character) for character in text[len(text) - before :])


def test_han_and_kana_are_words_of_their_own() -> None:
    assert is_cjk("漢")
    assert is_cjk("か")
    assert not is_cjk("한")
    assert not is_letter("漢")
    assert is_letter("한")


def test_a_pile_of_marks_is_cut_not_hung_upon() -> None:
    text = "a" + "\u0301" * 100_000
    index = len(text)
    for _ in range(3):
        index = previous_cluster(text, index)
    assert 0 <= index < len(text)
