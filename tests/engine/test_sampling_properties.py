"""What must hold of every step, whatever the logits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from storyteller.engine.sampling import (
    adapter_contrast,
    allow_only,
    ban_tokens,
    diversity_penalty,
    draw,
    dry,
    dynamic_temperature,
    epsilon_cutoff,
    eta_cutoff,
    frequency_presence_penalty,
    guidance,
    logit_bias,
    min_p,
    mirostat,
    no_repeat_ngram,
    repetition_penalty,
    tail_free,
    temperature,
    top_a,
    top_k,
    top_p,
    typical,
    xtc,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@st.composite
def some_logits(draw_from: st.DrawFn) -> Tensor:
    """Of 1 to 40 tokens; some at -inf, at least one finite."""
    finite = draw_from(st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=30))
    impossible = draw_from(st.integers(0, 10))
    values = draw_from(st.permutations([*finite, *[-math.inf] * impossible]))
    return torch.tensor(values)


fractions = st.floats(0.0, 1.0)
small = st.floats(0.0, 1.0, exclude_min=True)

# Every cut that looks at values alone, with any of its settings.
cuts = st.one_of(
    st.builds(lambda k: lambda logits: top_k(logits, k), st.integers(0, 50)),
    st.builds(lambda p: lambda logits: top_p(logits, p), fractions),
    st.builds(lambda p: lambda logits: min_p(logits, p), fractions),
    st.builds(lambda m: lambda logits: typical(logits, m), fractions),
    st.builds(lambda e: lambda logits: epsilon_cutoff(logits, e), fractions),
    st.builds(lambda e: lambda logits: eta_cutoff(logits, e), fractions),
    st.builds(lambda z: lambda logits: tail_free(logits, z), fractions),
    st.builds(lambda a: lambda logits: top_a(logits, a), fractions),
    st.builds(lambda t: lambda logits: xtc(logits, 1.0, t, chance=0.0), fractions),
    st.builds(lambda b: lambda logits: mirostat(logits, b), st.floats(-10, 50)),
)


@settings(max_examples=600)
@given(some_logits(), cuts)
def test_a_cut_only_removes_and_never_everything(logits: Tensor, cut: Callable[[Tensor], Tensor]) -> None:
    before = logits.clone()
    after = cut(logits)
    stays = torch.isfinite(after)
    assert stays.any()
    assert torch.equal(after[stays], logits[stays])
    assert bool((after[~stays] == -math.inf).all())
    assert torch.equal(logits, before), "a step must not write into its argument"


@given(some_logits(), st.integers(0, 50), fractions)
def test_a_cut_by_rank_or_by_the_likeliest_is_done_at_once(logits: Tensor, k: int, p: float) -> None:
    assert torch.equal(top_k(top_k(logits, k), k), top_k(logits, k))
    assert torch.equal(min_p(min_p(logits, p), p), min_p(logits, p))


order_preserving = st.one_of(
    st.builds(lambda k: lambda logits: top_k(logits, k), st.integers(0, 50)),
    st.builds(lambda p: lambda logits: top_p(logits, p), fractions),
    st.builds(lambda p: lambda logits: min_p(logits, p), fractions),
    st.builds(lambda e: lambda logits: epsilon_cutoff(logits, e), fractions),
    st.builds(lambda e: lambda logits: eta_cutoff(logits, e), fractions),
    st.builds(lambda a: lambda logits: top_a(logits, a), fractions),
    st.builds(lambda b: lambda logits: mirostat(logits, b), st.floats(-10, 50)),
)


@given(some_logits(), order_preserving)
def test_what_goes_is_less_likely_than_what_stays(logits: Tensor, cut: Callable[[Tensor], Tensor]) -> None:
    stays = torch.isfinite(cut(logits))
    gone = logits[~stays]
    assert len(gone) == 0 or float(gone.max()) < float(logits[stays].min())
    assert bool(stays[logits.argmax()])


@given(some_logits(), fractions, fractions)
def test_a_larger_nucleus_holds_the_smaller(logits: Tensor, one: float, other: float) -> None:
    smaller, larger = sorted((one, other))
    inside, outside = torch.isfinite(top_p(logits, smaller)), torch.isfinite(top_p(logits, larger))
    assert bool((inside <= outside).all())
    strict, loose = torch.isfinite(min_p(logits, larger)), torch.isfinite(min_p(logits, smaller))
    assert bool((strict <= loose).all())


@given(some_logits(), st.integers(1, 45))
def test_top_k_keeps_k_and_ties(logits: Tensor, k: int) -> None:
    finite = int(torch.isfinite(logits).sum())
    stays = torch.isfinite(top_k(logits, k))
    assert int(stays.sum()) >= min(k, finite)
    assert int((logits > logits[stays].min()).sum()) < max(k, 1)


@given(some_logits(), st.sampled_from([0.25, 0.5, 0.75, 0.9]))
def test_the_nucleus_has_its_mass(logits: Tensor, p: float) -> None:
    stays = torch.isfinite(top_p(logits, p))
    assert float(logits.double().softmax(0)[stays].sum()) >= p - 1e-5


shift_invariant = st.sampled_from(
    [
        lambda logits: temperature(logits, 0.7),
        lambda logits: dynamic_temperature(logits, 1.0, 0.5),
        lambda logits: top_k(logits, 3),
        lambda logits: min_p(logits, 0.11),
        lambda logits: xtc(logits, 1.0, 0.13, chance=0.0),
        lambda logits: guidance(logits, torch.linspace(-3, 3, len(logits)), 1.7),
        lambda logits: frequency_presence_penalty(logits, [0, 0], 0.5, 0.2),
        lambda logits: dry(logits, [0, 0, 0, 0], 0.8),
    ]
)


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=20), st.integers(-16, 16), shift_invariant)
def test_adding_a_constant_to_all_changes_no_probability(
    values: list[int], shift: int, step: Callable[[Tensor], Tensor]
) -> None:
    logits = torch.tensor(values, dtype=torch.float32) / 4  # shifts are exact in binary
    torch.testing.assert_close(step(logits + shift).softmax(0), step(logits).softmax(0), rtol=1e-4, atol=1e-6)


NO_IDS = torch.tensor([], dtype=torch.int64)


@given(some_logits(), st.lists(st.integers(0, 0), max_size=5))
def test_a_neutral_step_is_the_identity(logits: Tensor, history: list[int]) -> None:
    for after in (
        temperature(logits, 1.0),
        dynamic_temperature(logits, 1.0, 0.0),
        top_k(logits, 0),
        top_p(logits, 1.0),
        min_p(logits, 0.0),
        typical(logits, 1.0),
        epsilon_cutoff(logits, 0.0),
        eta_cutoff(logits, 0.0),
        tail_free(logits, 1.0),
        top_a(logits, 0.0),
        xtc(logits, 0.0, 0.1, chance=0.0),
        repetition_penalty(logits, history, 1.0),
        frequency_presence_penalty(logits, history, 0.0, 0.0),
        dry(logits, history, 0.0),
        no_repeat_ngram(logits, history, 0),
        logit_bias(logits, NO_IDS, torch.tensor([])),
        ban_tokens(logits, NO_IDS),
        diversity_penalty(logits, history, 0.0),
        guidance(logits, logits, 1.0),
        adapter_contrast(logits, logits, 0.0),
    ):
        assert after is logits


@given(some_logits())
def test_an_empty_history_is_no_repetition(logits: Tensor) -> None:
    for after in (
        repetition_penalty(logits, [], 1.2),
        frequency_presence_penalty(logits, [], 1.0, 1.0),
        dry(logits, [], 0.8),
        no_repeat_ngram(logits, [], 1),
        no_repeat_ngram(logits, [], 3),
        diversity_penalty(logits, [], 1.0),
    ):
        assert torch.equal(after, logits)


@given(some_logits(), st.lists(st.integers(0, 10), max_size=30), small, st.floats(0.0, 3.0))
def test_penalties_lower_what_was_there_and_touch_nothing_else(
    logits: Tensor, history: list[int], multiplier: float, amount: float
) -> None:
    history = [token % len(logits) for token in history]
    seen = torch.zeros(len(logits), dtype=torch.bool)
    seen[torch.tensor(history, dtype=torch.int64)] = True
    for after in (
        repetition_penalty(logits, history, 1.0 + amount),
        frequency_presence_penalty(logits, history, amount, amount),
        dry(logits, history, multiplier),
        diversity_penalty(logits, history, amount),
    ):
        assert torch.equal(after[~seen], logits[~seen])
        assert bool((after[seen] <= logits[seen]).all())


@given(some_logits(), st.floats(0.05, 5.0), st.floats(0.05, 5.0))
def test_a_cooler_draw_is_surer(logits: Tensor, one: float, other: float) -> None:
    cool, warm = sorted((one, other))
    assert (
        float(temperature(logits, cool).softmax(0).max())
        >= float(temperature(logits, warm).softmax(0).max()) - 1e-5
    )


@given(some_logits(), st.floats(0.0, 1.0, exclude_max=True))
def test_the_impossible_is_never_drawn(logits: Tensor, chance: float) -> None:
    token = draw(logits, chance)
    assert math.isfinite(logits[token])


@given(some_logits(), st.floats(0.0, 1.0, exclude_max=True))
def test_impossible_tokens_in_between_do_not_change_a_draw(logits: Tensor, chance: float) -> None:
    possible = torch.isfinite(logits).nonzero().flatten()
    assert draw(logits, chance) == int(possible[draw(logits[possible], chance)])


def test_draws_are_spread_as_the_probabilities_say() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.25, 0.15, 0.1])
    logits = probabilities.log()
    counts = [0] * 5
    for step in range(2000):
        counts[draw(logits, (step + 0.5) / 2000)] += 1
    assert counts == [1000, 0, 500, 300, 200]


@pytest.mark.parametrize("lone", [0, 1, 2])
def test_one_possible_token_survives_everything(lone: int) -> None:
    logits = torch.full((3,), -math.inf)
    logits[lone] = -7.0
    allowed = torch.zeros(3, dtype=torch.bool)
    allowed[lone] = True
    for after in (
        temperature(logits, 0.3),
        dynamic_temperature(logits, 1.0, 0.9),
        top_k(logits, 2),
        top_p(logits, 0.5),
        min_p(logits, 1.0),
        typical(logits, 0.1),
        epsilon_cutoff(logits, 1.0),
        eta_cutoff(logits, 1.0),
        tail_free(logits, 0.0),
        top_a(logits, 1.0),
        xtc(logits, 1.0, 0.0, chance=0.0),
        mirostat(logits, -1.0),
        allow_only(logits, allowed),
        guidance(logits, torch.zeros(3), 2.0),
        adapter_contrast(logits, torch.zeros(3), 2.0),
    ):
        assert torch.isfinite(after).nonzero().flatten().tolist() == [lone]
        assert draw(after, 0.999) == lone
