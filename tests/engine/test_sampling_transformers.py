"""Where transformers has a processor of the same name, ours gives the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.generation import logits_process as theirs

from storyteller.engine.sampling import (
    ban_tokens,
    epsilon_cutoff,
    eta_cutoff,
    guidance,
    logit_bias,
    min_p,
    no_repeat_ngram,
    repetition_penalty,
    temperature,
    top_k,
    top_p,
    typical,
)
from storyteller.engine.sampling.pipeline import candidates, cut
from storyteller.engine.sampling.rules import resolve
from storyteller.engine.settings import SamplerSettings
from tests.stubs.piece_tokenizer import PieceTokenizer

SIZES = (1, 2, 5, 97, 4000)


def some_logits(size: int, seed: int = 0, spread: float = 3.0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * spread


def by_them(processor: Any, logits: Tensor, history: list[int] | None = None) -> Tensor:
    result: Tensor = processor(torch.tensor([history or []], dtype=torch.int64), logits.clone().unsqueeze(0))[
        0
    ]
    return result


@pytest.fixture(params=[(size, seed) for size in SIZES for seed in range(4)], ids=str)
def logits(request: pytest.FixtureRequest) -> Tensor:
    size, seed = request.param
    return some_logits(size, seed)


@pytest.mark.parametrize("value", [0.1, 0.7, 1.0, 1.5])
def test_temperature(logits: Tensor, value: float) -> None:
    expected = by_them(theirs.TemperatureLogitsWarper(value), logits)
    torch.testing.assert_close(temperature(logits, value).log_softmax(0), expected.log_softmax(0))


@pytest.mark.parametrize("k", [1, 10, 40, 100])
def test_top_k(logits: Tensor, k: int) -> None:
    assert torch.equal(top_k(logits, k), by_them(theirs.TopKLogitsWarper(k), logits))


def test_top_k_keeps_ties_as_transformers_does() -> None:
    tied = torch.tensor([1.0, 3.0, 2.0, 2.0, 2.0])
    assert torch.equal(top_k(tied, 2), by_them(theirs.TopKLogitsWarper(2), tied))


@pytest.mark.parametrize("p", [0.05, 0.8, 0.9, 0.95, 0.999])
def test_top_p(logits: Tensor, p: float) -> None:
    assert torch.equal(top_p(logits, p), by_them(theirs.TopPLogitsWarper(p), logits))


def test_top_p_of_a_nucleus_wider_than_the_quick_look() -> None:
    flat = some_logits(4000, spread=0.01)
    assert torch.equal(top_p(flat, 0.9), by_them(theirs.TopPLogitsWarper(0.9), flat))


@pytest.mark.parametrize("p", [0.02, 0.08, 0.5, 1.0])
def test_min_p(logits: Tensor, p: float) -> None:
    assert torch.equal(min_p(logits, p), by_them(theirs.MinPLogitsWarper(p), logits))


@pytest.mark.parametrize("mass", [0.2, 0.9, 0.95])
def test_typical(logits: Tensor, mass: float) -> None:
    assert torch.equal(typical(logits, mass), by_them(theirs.TypicalLogitsWarper(mass), logits))


@pytest.mark.parametrize("epsilon", [3e-4, 9e-3, 0.4])
def test_epsilon_cutoff(logits: Tensor, epsilon: float) -> None:
    assert torch.equal(epsilon_cutoff(logits, epsilon), by_them(theirs.EpsilonLogitsWarper(epsilon), logits))


@pytest.mark.parametrize("epsilon", [3e-4, 4e-3, 0.4])
def test_eta_cutoff(logits: Tensor, epsilon: float) -> None:
    assert torch.equal(eta_cutoff(logits, epsilon), by_them(theirs.EtaLogitsWarper(epsilon), logits))


@pytest.mark.parametrize("penalty", [0.8, 1.1, 1.2])
def test_repetition_penalty(logits: Tensor, penalty: float) -> None:
    history = [token % len(logits) for token in (3, 1, 4, 1, 5, 9, 2, 6)]
    expected = by_them(theirs.RepetitionPenaltyLogitsProcessor(penalty), logits, history)
    assert torch.equal(repetition_penalty(logits, history, penalty), expected)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_no_repeat_ngram(size: int) -> None:
    logits = some_logits(6)
    for seed in range(40):
        history = torch.randint(0, 6, (12,), generator=torch.Generator().manual_seed(seed)).tolist()
        for length in range(len(history) + 1):
            expected = by_them(theirs.NoRepeatNGramLogitsProcessor(size), logits, history[:length])
            assert torch.equal(no_repeat_ngram(logits, history[:length], size), expected)


def test_logit_bias() -> None:
    logits = some_logits(50)
    expected = by_them(theirs.SequenceBiasLogitsProcessor([[[3], 2.5], [[7], -1.0], [[49], -30.0]]), logits)
    assert torch.equal(
        logit_bias(logits, torch.tensor([3, 7, 49]), torch.tensor([2.5, -1.0, -30.0])), expected
    )


def test_banned_tokens() -> None:
    logits = some_logits(50)
    expected = by_them(theirs.SuppressTokensLogitsProcessor([3, 7]), logits)
    assert torch.equal(ban_tokens(logits, torch.tensor([3, 7])), expected)
    assert torch.equal(
        expected, by_them(theirs.NoBadWordsLogitsProcessor([[3], [7]], eos_token_id=0), logits)
    )


@pytest.mark.parametrize("scale", [0.5, 1.5, 3.0])
def test_guidance(scale: float) -> None:
    logits, negative = some_logits(50), some_logits(50, seed=1)

    class Model:
        def __call__(self, *_: Any, **__: Any) -> dict[str, Any]:
            class Output(dict[str, Any]):
                logits = negative.view(1, 1, -1)

            return Output()

    processor = theirs.UnbatchedClassifierFreeGuidanceLogitsProcessor(scale, Model())
    torch.testing.assert_close(guidance(logits, negative, scale), by_them(processor, logits, [1]))


@pytest.mark.parametrize(
    "settings",
    [
        SamplerSettings(temperature=0.7, top_k=40, top_p=0.9, min_p=0.02, typical_p=0.95),
        SamplerSettings(temperature=1.5, top_p=0.95, min_p=0.01, epsilon_cutoff=1e-3),
        SamplerSettings(temperature=0.7, top_p=0.8, eta_cutoff=2e-3),
        SamplerSettings(temperature=1.2, min_p=0.05, typical_p=0.9),
        SamplerSettings(temperature=0.9, typical_p=0.6),
    ],
)
def test_the_steps_in_our_order_are_those_of_generate(settings: SamplerSettings) -> None:
    rules = resolve(settings, PieceTokenizer())
    for seed in range(10):
        logits = some_logits(3000, seed)
        expected = by_them(theirs.TemperatureLogitsWarper(settings.temperature), logits)
        in_their_order: tuple[tuple[float, float, Any], ...] = (
            (settings.top_k, 0, theirs.TopKLogitsWarper),
            (settings.top_p, 1.0, theirs.TopPLogitsWarper),
            (settings.min_p, 0.0, theirs.MinPLogitsWarper),
            (settings.typical_p, 1.0, theirs.TypicalLogitsWarper),
            (settings.epsilon_cutoff, 0.0, theirs.EpsilonLogitsWarper),
            (settings.eta_cutoff, 0.0, theirs.EtaLogitsWarper),
        )
        for value, neutral, processor in in_their_order:
            if value != neutral:
                expected = by_them(processor(value), expected)
        ids, scores = candidates(logits, settings)
        scores = cut(ids, scores, rules, xtc_chance=1.0, bound=float("inf"))
        ours = torch.zeros(len(logits)).index_put((ids,), scores.softmax(0))
        torch.testing.assert_close(ours, expected.softmax(0))
