"""What samples share with a corpus, against a search for every run, and against what must always hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.errors import UserError
from storyteller.evaluation.memorisation import Shared, memorisation
from tests.stubs.tiny_gpt2 import WORDS

if TYPE_CHECKING:
    from storyteller.engine.prompt.tokens import Tokens

IDS = st.lists(st.lists(st.sampled_from([0, 1]), max_size=40), max_size=4)


def runs(texts: list[list[int]], n: int) -> set[tuple[int, ...]]:
    return {tuple(text[start : start + n]) for text in texts for start in range(len(text) - n + 1)}


@given(IDS, IDS)
def test_a_search_for_every_run_finds_the_same(samples: list[list[int]], corpus: list[list[int]]) -> None:
    shared = Shared(samples)
    for place, document in enumerate(corpus):
        shared.read(document, str(place))
    longest = max((n for n in range(41) if runs(samples, n) & runs(corpus, n)), default=0)
    assert len(shared.longest) == longest
    if longest:
        assert shared.longest in runs(samples, longest)
        assert shared.longest in runs([corpus[int(shared.source)]], longest)
    for n in (8, 13):
        every = [tuple(text[i : i + n]) for text in samples for i in range(len(text) - n + 1)]
        known = runs(corpus, n)
        assert shared.copied(n) == (sum(gram in known for gram in every), len(every))


@given(st.lists(st.lists(st.integers(0, 9), min_size=13, max_size=30), min_size=1, max_size=4))
def test_a_corpus_that_holds_the_samples_and_one_that_does_not(samples: list[list[int]]) -> None:
    same, other = Shared(samples), Shared(samples)
    same.read([99, *samples[0], 98], "first")
    for sample in samples[1:]:
        same.read(sample, "later")
    other.read([token + 10 for sample in samples for token in sample], "other")
    for n in (8, 13):
        found, count = same.copied(n)
        assert found == count > 0
        assert other.copied(n) == (0, count)
    assert len(same.longest) == max(map(len, samples))
    assert (other.longest, other.source) == ((), "")


def test_a_run_does_not_go_on_into_the_next_sample_or_document() -> None:
    shared = Shared([[1, 2, 3], [4, 5, 6]])
    shared.read([1, 2, 3, 4, 5, 6], "joined")
    assert len(shared.longest) == 3
    shared = Shared([[1, 2, 3, 4, 5, 6]])
    shared.read([1, 2, 3], "one")
    shared.read([4, 5, 6], "two")
    assert (shared.longest, shared.source) == ((1, 2, 3), "one")


def test_texts_in_figures(tiny_tokens: Tokens) -> None:
    copy = "the keeper of the house said nothing. There was a lighthouse"
    corpus = [("sea.txt", "sea"), ("words.jsonl:3", WORDS)]
    copied, own = memorisation(tiny_tokens, [[f" {copy}!"], ["zzzz qqqq " * 9]], corpus)
    assert (copied.longest_text, copied.longest_source) == (f" {copy}", "words.jsonl:3")
    assert copied.longest == len(tiny_tokens.encode(f" {copy}"))
    assert (copied.copied_8, copied.grams_8, copied.copied_13) == (5 / 6, 6, 0.0)  # “!” is not there
    assert (own.copied_8, own.copied_13) == (0.0, 0.0)
    assert own.grams_8 > own.grams_13 > 0
    read = len(tiny_tokens.encode("sea")) + len(tiny_tokens.encode(WORDS))
    assert (own.corpus_tokens, own.samples) == (read, 1)


def test_samples_too_short_to_copy(tiny_tokens: Tokens) -> None:
    (found,) = memorisation(tiny_tokens, [["", ","]], [("w", WORDS)])
    assert (found.copied_8, found.grams_8, found.longest) == (0.0, 0, 1)


def test_a_corpus_without_text(tiny_tokens: Tokens) -> None:
    with pytest.raises(UserError, match="no text"):
        memorisation(tiny_tokens, [["a"]], [("w", "")])
