"""Duplicates, exact and near: the first stays, and estimates agree with the true similarity."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.training.corpus.document import Document
from storyteller.training.corpus.duplicates import shingles, signature, similarity, without_duplicates

WORDS = [f"word{number}" for number in range(3000)]
HAN = [chr(code) for code in range(0x4E00, 0x5800)]


def piece(seed: int, length: int, vocabulary: list[str] = WORDS) -> list[str]:
    return random.Random(seed).choices(vocabulary, k=length)


def kept(*texts: str) -> tuple[list[str], int, int]:
    documents = [Document(text, f"{number}") for number, text in enumerate(texts)]
    rest, exact, near = without_duplicates(documents)
    return [document.source for document in rest], exact, near


def test_texts_that_differ_in_case_and_blanks_are_exact_duplicates() -> None:
    assert kept("The Sea\nis wide", "the  sea is\twide", "the sea is deep and cold") == (["0", "2"], 1, 0)


@pytest.mark.parametrize("length", [60, 400, 5000])
def test_a_piece_with_two_words_changed_is_a_near_duplicate(length: int) -> None:
    words = piece(1, length)
    changed = [*words[: length // 3], "other", *words[length // 3 + 1 : -1], "end"]
    assert kept(" ".join(words), " ".join(piece(2, length)), " ".join(changed)) == (["0", "1"], 0, 1)


def test_a_chinese_poem_with_one_variant_character_is_a_near_duplicate() -> None:
    characters = piece(3, 56, HAN)
    variant = [*characters[:20], "龘", *characters[21:]]
    assert kept("".join(characters), "".join(variant)) == (["0"], 0, 1)


def test_pieces_that_share_half_of_their_text_both_stay() -> None:
    half, one, other = (" ".join(piece(seed, 200)) for seed in (4, 5, 6))
    assert kept(f"{half} {one}", f"{half} {other}") == (["0", "1"], 0, 0)


def test_pieces_without_a_word_are_told_apart() -> None:
    assert kept("!!!", "...", "!!!") == (["0", "1"], 1, 0)


def test_a_signature_agrees_as_often_as_the_shingles_are_shared() -> None:
    errors = []
    for seed in range(40):
        words = piece(seed, 300)
        cut = 30 + seed * 6
        one, other = (
            shingles(" ".join(words)),
            shingles(" ".join([*words[:cut], *piece(seed + 99, 300 - cut)])),
        )
        marks = zip(signature(one), signature(other), strict=True)
        errors.append(sum(a == b for a, b in marks) / 80 - similarity(one, other))
    assert abs(sum(errors) / len(errors)) < 0.02
    assert max(map(abs, errors)) < 0.2


def test_of_two_hundred_near_copies_nearly_all_are_found() -> None:
    texts = []
    for seed in range(200):
        words = piece(seed, 150)
        texts += [
            " ".join(words),
            " ".join([*words[:-12], *piece(seed + 1000, 12)]),
        ]  # similarity 0.83 to 0.86
    _, exact, near = kept(*texts)
    assert exact == 0
    assert near >= 198


@given(st.lists(st.text(alphabet="ab c\n", max_size=40), max_size=25))
def test_the_first_is_kept_in_order_and_a_second_pass_finds_nothing(texts: list[str]) -> None:
    documents = [Document(text, f"{number}") for number, text in enumerate(texts)]
    rest, exact, near = without_duplicates(documents)
    assert len(rest) + exact + near == len(documents)
    assert [int(document.source) for document in rest] == sorted(int(document.source) for document in rest)
    assert rest[:1] == documents[:1]
    assert without_duplicates(rest) == (rest, 0, 0)
