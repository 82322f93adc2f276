"""DRY and the record of repeats behind it, against the slow and obvious way."""

from __future__ import annotations

import math
import time

import torch
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.sampling import dry, no_repeat_ngram
from storyteller.engine.sampling.repeats import Repeats, suffix_matches

histories = st.lists(st.integers(0, 4), max_size=60)
tokens = st.integers(0, 4)


def dry_by_looking(
    history: list[int], multiplier: float, base: float, allowed_length: int, reach: int, breakers: set[int]
) -> dict[int, float]:
    """As text-generation-webui #5677 has it: from every place where the last token stood, compare backwards."""
    history = history[-reach:] if reach else history
    longest: dict[int, int] = {}
    if not history or history[-1] in breakers:
        return {}
    for end in range(len(history) - 1):
        if history[end] != history[-1] or history[end + 1] in breakers:
            continue
        length = 1
        while (
            end - length >= 0
            and history[end - length] == history[-1 - length]
            and history[end - length] not in breakers
        ):
            length += 1
        longest[history[end + 1]] = max(length, longest.get(history[end + 1], 0))
    return {
        token: multiplier * base ** (length - allowed_length)
        for token, length in longest.items()
        if length >= allowed_length
    }


@given(histories, st.integers(1, 4), st.integers(0, 20), st.sets(tokens, max_size=2))
def test_dry_is_what_its_author_wrote(
    history: list[int], allowed_length: int, reach: int, breakers: set[int]
) -> None:
    logits = torch.zeros(5, dtype=torch.float64)
    after = dry(logits, history, 0.8, base=1.2, allowed_length=allowed_length, reach=reach, breakers=breakers)
    expected = dry_by_looking(history, 0.8, 1.2, allowed_length, reach, breakers)
    for token in range(5):
        assert math.isclose(-float(after[token]), expected.get(token, 0.0), rel_tol=1e-9, abs_tol=1e-12)


@given(histories)
def test_suffix_matches_by_comparing(history: list[int]) -> None:
    for end, length in enumerate(suffix_matches(history)):
        expected = 0
        while expected <= end and history[end - expected] == history[-1 - expected]:
            expected += 1
        assert length == expected


@given(histories, st.lists(st.one_of(tokens, st.integers(-9, -1)), max_size=40), st.sets(tokens, max_size=2))
def test_repeats_kept_token_by_token_are_those_of_the_whole(
    history: list[int], steps: list[int], breakers: set[int]
) -> None:
    repeats, plain = Repeats(history, breakers), list(history)
    for step in steps:
        if step >= 0:
            repeats.append(step)
            plain.append(step)
        else:
            back = min(-step, len(plain))
            repeats.rewind(back)
            del plain[len(plain) - back :]
        fresh = Repeats(plain, breakers)
        assert sorted(repeats.followers()) == sorted(fresh.followers())
        assert sorted(repeats.followers(7)) == sorted(fresh.followers(7))
        assert len(repeats) == len(plain)


def test_a_repetition_costs_more_the_longer_it_is() -> None:
    history = [1, 2, 3, 4, 9, 1, 2, 3]
    assert float(dry(torch.zeros(10), history[:6], 0.8).sum()) == 0.0  # one token is no phrase
    assert math.isclose(float(dry(torch.zeros(10), history[:7], 0.8)[3]), -0.8, rel_tol=1e-6)
    assert math.isclose(float(dry(torch.zeros(10), history, 0.8)[4]), -0.8 * 1.75, rel_tol=1e-6)


def test_an_exempt_token_and_a_breaker_pay_nothing() -> None:
    history = [1, 2, 3, 1, 2]
    assert float(dry(torch.zeros(5), history, 0.8)[3]) < 0
    assert float(dry(torch.zeros(5), history, 0.8, exempt={3})[3]) == 0
    assert float(dry(torch.zeros(5), history, 0.8, breakers={3})[3]) == 0
    assert float(dry(torch.zeros(5), history, 0.8, breakers={2})[3]) == 0


def test_a_repetition_without_end_stays_a_number() -> None:
    after = dry(torch.zeros(3), [1] * 5000, 5.0, base=50.0)
    assert bool(torch.isfinite(after).all())
    assert float(after[1]) < -1e5


def test_a_long_run_of_one_token_is_one_pass() -> None:
    started = time.perf_counter()
    repeats = Repeats([1] * 100_000)
    assert max(length for _, length in repeats.followers()) == 99_999
    assert time.perf_counter() - started < 5.0  # comparing at every place would take hours


@given(histories, st.integers(2, 4))
def test_the_ngram_ban_by_listing_them(history: list[int], size: int) -> None:
    grams = {tuple(history[at : at + size]) for at in range(len(history) - size + 1)}
    after = no_repeat_ngram(torch.zeros(5), history, size)
    for token in range(5):
        completes = len(history) >= size - 1 and (*history[len(history) - size + 1 :], token) in grams
        assert (float(after[token]) == -math.inf) == completes
