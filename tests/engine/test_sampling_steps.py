"""Each step on a distribution small enough to work out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from storyteller.engine.sampling import (
    adapter_contrast,
    allow_only,
    ban_tokens,
    diversity_penalty,
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
from storyteller.engine.sampling.mirostat import first_bound, next_bound

NOTHING = -math.inf


def likely(*probabilities: float) -> Tensor:
    """Logits of these probabilities, shifted by a constant as a model's are."""
    return torch.tensor(probabilities).log() + 1.5


def kept(logits: Tensor) -> set[int]:
    return set(torch.isfinite(logits).nonzero().flatten().tolist())


FIVE = likely(0.4, 0.3, 0.15, 0.1, 0.05)


def test_top_k_keeps_the_k_largest() -> None:
    assert kept(top_k(FIVE, 2)) == {0, 1}
    assert kept(top_k(FIVE, 9)) == {0, 1, 2, 3, 4}


def test_top_p_keeps_a_token_while_those_above_it_fall_short() -> None:
    assert kept(top_p(FIVE, 0.69)) == {0, 1}
    assert kept(top_p(FIVE, 0.71)) == {0, 1, 2}
    assert kept(top_p(FIVE, 0.0)) == {0}


def test_min_p_scales_with_the_likeliest() -> None:
    assert kept(min_p(FIVE, 0.3)) == {0, 1, 2}  # 0.3 * 0.4 = 0.12
    assert kept(min_p(likely(0.9, 0.05, 0.05), 0.1)) == {0}


def test_top_a_scales_with_its_square() -> None:
    assert kept(top_a(FIVE, 0.8)) == {0, 1, 2}  # 0.8 * 0.16 = 0.128
    assert kept(top_a(FIVE, 0.5)) == {0, 1, 2, 3}  # 0.08
    assert kept(top_a(likely(0.2, 0.2, 0.2, 0.2, 0.2), 1.0)) == {0, 1, 2, 3, 4}


def test_typical_drops_the_too_obvious_first() -> None:
    # entropy 1.34 nats; surprises 0.51, 1.61, 2.30 lie 0.83, 0.27 and 0.96 off: the middle ones are most typical
    logits = likely(0.6, 0.2, 0.1, 0.1)
    assert kept(typical(likely(0.5, 0.12, 0.13, 0.25), 0.2)) == {3}
    assert 0 in kept(typical(logits, 0.9))


def test_epsilon_cuts_below_a_probability_but_never_the_best() -> None:
    assert kept(epsilon_cutoff(FIVE, 0.12)) == {0, 1, 2}
    assert kept(epsilon_cutoff(FIVE, 0.9)) == {0}


def test_eta_is_more_lenient_where_the_model_is_unsure() -> None:
    unsure = likely(*[0.095] * 10, 0.05)  # entropy 2.39: the bound is sqrt(0.2) * exp(-2.39) = 0.041
    sure = likely(0.94, 0.05, 0.01)  # entropy 0.25: the bound is min(0.2, 0.35)
    assert len(kept(eta_cutoff(unsure, 0.2))) == 11
    assert kept(eta_cutoff(sure, 0.2)) == {0}


def test_tail_free_cuts_where_the_curve_is_flat() -> None:
    # second differences of 0.5 0.3 0.1 0.05 0.03 0.02: 0, 0.15, 0.03, 0.01; as shares 0, 0.79, 0.16, 0.05
    logits = likely(0.5, 0.3, 0.1, 0.05, 0.03, 0.02)
    assert kept(tail_free(logits, 0.5)) == {0, 1}
    assert kept(tail_free(logits, 0.9)) == {0, 1, 2}
    assert kept(tail_free(logits, 0.96)) == {0, 1, 2, 3}
    assert kept(tail_free(likely(0.25, 0.25, 0.25, 0.25), 0.5)) == {0, 1, 2, 3}


def test_xtc_leaves_the_least_likely_of_the_good_ones() -> None:
    assert kept(xtc(FIVE, 0.5, 0.12, chance=0.49)) == {2, 3, 4}
    assert kept(xtc(FIVE, 0.5, 0.12, chance=0.5)) == {0, 1, 2, 3, 4}
    assert kept(xtc(FIVE, 1.0, 0.35, chance=0.0)) == {0, 1, 2, 3, 4}  # a single good one is no choice
    newline = torch.tensor([False, True, False, False, False])
    assert kept(xtc(FIVE, 1.0, 0.12, chance=0.0, protected=newline)) == {0, 1, 2, 3, 4}
    assert kept(xtc(FIVE, 1.0, 0.12, chance=0.0, protected=newline.roll(3))) == {2, 3, 4}


def test_mirostat_cuts_what_surprises_more_than_its_bound() -> None:
    assert kept(mirostat(FIVE, -math.log(0.12))) == {0, 1, 2}
    assert kept(mirostat(FIVE, 0.0)) == {0}
    assert kept(mirostat(FIVE, -5.0)) == {0}
    assert first_bound(3.0) == 6.0
    assert next_bound(6.0, 4.0, tau=3.0, eta=0.1) == pytest.approx(5.9)
    assert next_bound(6.0, 1.0, tau=3.0, eta=0.1) == pytest.approx(6.2)


def test_mirostat_steers_the_average_surprise_to_its_target() -> None:
    generator = torch.Generator().manual_seed(1)
    tau, surprises = 2.0, []
    bound = first_bound(tau)
    for _ in range(600):
        logits = mirostat(torch.randn(200, generator=generator) * 2.5, bound)
        logprobs = logits.log_softmax(0)
        token = int(torch.multinomial(logprobs.exp(), 1, generator=generator))
        surprises.append(-float(logprobs[token]))
        bound = next_bound(bound, surprises[-1], tau=tau, eta=0.1)
    assert sum(surprises[100:]) / 500 == pytest.approx(tau, abs=0.15)


def test_temperature_sharpens_and_flattens() -> None:
    torch.testing.assert_close(
        temperature(FIVE, 0.5).softmax(0), torch.tensor([0.16, 0.09, 0.0225, 0.01, 0.0025]) / 0.285
    )
    assert temperature(FIVE, 0.0).softmax(0).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert temperature(FIVE, 1e-40).softmax(0).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_dynamic_temperature_reaches_its_ends() -> None:
    flat = torch.zeros(8)
    assert dynamic_temperature(flat, 1.0, 0.5).softmax(0).tolist() == pytest.approx([0.125] * 8)
    sure = torch.tensor([40.0, 0.0, 0.0])  # entropy 0: the low end
    torch.testing.assert_close(dynamic_temperature(sure, 1.0, 0.5), (sure - 40) / 0.5)
    half = torch.tensor([5.0, 5.0, NOTHING, NOTHING])  # as unsure as two tokens can be: the high end
    torch.testing.assert_close(dynamic_temperature(half, 1.0, 0.5)[:2], torch.zeros(2))
    slope = torch.tensor([1.0, 0.0])
    likelier = 1 / (1 + math.exp(-1))
    sureness = -sum(p * math.log(p) for p in (likelier, 1 - likelier)) / math.log(2)
    expected = 0.5 + (1.5 - 0.5) * sureness**2
    torch.testing.assert_close(dynamic_temperature(slope, 1.0, 0.5, 2.0), (slope - 1) / expected)


def test_repetition_penalty_lowers_either_sign_within_its_reach() -> None:
    logits = torch.tensor([2.0, -2.0, 1.0, -1.0])
    assert repetition_penalty(logits, [0, 1], 2.0).tolist() == [1.0, -4.0, 1.0, -1.0]
    assert repetition_penalty(logits, [0, 0, 1], 2.0, reach=1).tolist() == [2.0, -4.0, 1.0, -1.0]
    assert repetition_penalty(logits, [0, 1], 2.0, exempt={0}).tolist() == [2.0, -4.0, 1.0, -1.0]


def test_frequency_counts_and_presence_does_not() -> None:
    logits = torch.zeros(4)
    assert frequency_presence_penalty(logits, [1, 1, 2], 0.5, 0.25).tolist() == [0.0, -1.25, -0.75, 0.0]
    assert frequency_presence_penalty(logits, [1, 1, 2], 0.5, 0.0, reach=2).tolist() == [0, -0.5, -0.5, 0]
    assert frequency_presence_penalty(logits, [1, 2], 0.5, 0.0, exempt={2}).tolist() == [0, -0.5, 0, 0]


def test_diversity_counts_how_often_a_token_was_taken() -> None:
    assert diversity_penalty(torch.zeros(3), [1, 1, 2], 0.5).tolist() == [0.0, -1.0, -0.5]


def test_no_repeat_ngram_bans_what_would_complete_one() -> None:
    assert kept(no_repeat_ngram(torch.zeros(5), [1, 2, 3, 1, 2], 3)) == {0, 1, 2, 4}
    assert kept(no_repeat_ngram(torch.zeros(5), [1, 2, 1, 3, 1], 2)) == {0, 1, 4}
    assert kept(no_repeat_ngram(torch.zeros(5), [1, 2], 1)) == {0, 3, 4}


def test_bias_bans_and_constraints() -> None:
    logits = torch.zeros(4)
    assert logit_bias(logits, torch.tensor([1, 3]), torch.tensor([2.0, -1.0])).tolist() == [0, 2, 0, -1]
    assert kept(ban_tokens(logits, torch.tensor([0, 2]))) == {1, 3}
    assert kept(allow_only(logits, torch.tensor([True, False, True, False]))) == {0, 2}


def test_guidance_moves_away_from_the_negative_prompt() -> None:
    logits, negative = likely(0.5, 0.25, 0.25), likely(0.25, 0.5, 0.25)
    expected = torch.tensor([1.0, 0.125, 0.25])  # p^2 / n
    torch.testing.assert_close(guidance(logits, negative, 2.0).softmax(0), expected / expected.sum())
    torch.testing.assert_close(guidance(logits, negative, 0.0).softmax(0), negative.softmax(0))
    banned = torch.tensor([0.0, NOTHING, 0.0])
    assert kept(guidance(banned, negative, 2.0)) == {0, 2}
    assert not guidance(logits, banned, 2.0).isnan().any()


def test_adapter_contrast_goes_past_the_adapter_among_plausible_tokens() -> None:
    adapted, base = likely(0.5, 0.3, 0.18, 0.02), likely(0.5, 0.1, 0.3, 0.1)
    pushed = adapter_contrast(adapted, base, 1.0)
    assert kept(pushed) == {0, 1, 2}  # 0.02 is under a tenth of 0.5
    expected = torch.tensor([0.5, 0.9, 0.108, 0.0])  # p^2 / b
    torch.testing.assert_close(pushed.softmax(0), expected / expected.sum())
