"""Measures of variety, against plain definitions of them and against what must always hold."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.evaluation.diversity import distinct, diversity, repeated, repeated_near, self_bleu
from storyteller.evaluation.samples import Sample

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=12), max_size=6)


def grams(text: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(text[start : start + n]) for start in range(len(text) - n + 1)]


def bleu(text: list[str], others: list[list[str]]) -> float:
    """Sentence BLEU-4, written from its definition."""
    if not text:
        return 0.0
    orders = min(4, len(text))
    logs = 0.0
    for n in range(1, orders + 1):
        own = Counter(grams(text, n))
        clipped = sum(
            min(count, max(grams(other, n).count(gram) for other in others)) for gram, count in own.items()
        )
        logs += math.log((clipped or 0.1) / sum(own.values()))
    closest = sorted((abs(len(other) - len(text)), len(other)) for other in others)[0][1]
    return math.exp(logs / orders) * min(1.0, math.exp(1 - closest / len(text)))


@given(TEXTS)
def test_self_bleu_is_what_its_definition_says(texts: list[list[str]]) -> None:
    found = self_bleu(texts)
    assert 0.0 <= found <= 1.0 + 1e-12
    if len(texts) < 2:
        assert found == 0.0
    else:
        each = [bleu(text, [*texts[:place], *texts[place + 1 :]]) for place, text in enumerate(texts)]
        assert math.isclose(found, sum(each) / len(texts), abs_tol=1e-12)


@given(TEXTS, st.integers(1, 4))
def test_shares_are_shares(texts: list[list[str]], n: int) -> None:
    assert 0.0 <= distinct(texts, n) <= 1.0
    assert 0.0 <= repeated(texts, n) < 1.0
    assert 0.0 <= repeated_near(texts) < 1.0


@given(st.lists(st.sampled_from("abcd"), min_size=4, max_size=12), st.integers(2, 5))
def test_copies_of_one_text(text: list[str], count: int) -> None:
    copies = [text] * count
    assert math.isclose(self_bleu(copies), 1.0)
    assert math.isclose(distinct(copies, 4), distinct([text], 4) / count)
    assert repeated(copies, 4) == repeated([text], 4)


def test_what_is_distinct_and_what_is_repeated() -> None:
    texts = [list("abab"), list("abc")]
    assert distinct(texts, 1) == 3 / 7
    assert distinct(texts, 2) == 3 / 5  # ab, ba, bc of five
    assert repeated(texts, 2) == 1 / 5  # ab, in the first
    assert repeated_near(texts) == 2 / 7
    assert repeated_near(texts, reach=1) == 0.0


def test_words_are_looked_for_sixteen_back() -> None:
    assert repeated_near([["x", *map(str, range(15)), "x"]]) == 1 / 17
    assert repeated_near([["x", *map(str, range(16)), "x"]]) == 0.0


def test_samples_in_figures() -> None:
    found = diversity([Sample("The sea, the sea.", 6, ended=True), Sample("A door.", 4, ended=False)])
    assert (found.samples, found.mean_words, found.mean_tokens, found.ended) == (2, 4.5, 5.0, 0.5)
    assert found.distinct_1 == 7 / 9
    assert found.distinct_4 == 1.0


@pytest.mark.parametrize("samples", [[], [Sample("", 0, ended=True)]])
def test_nothing_has_no_variety(samples: list[Sample]) -> None:
    found = diversity(samples)
    assert (found.distinct_1, found.self_bleu_4, found.repeated_4, found.mean_words) == (0.0, 0.0, 0.0, 0.0)
