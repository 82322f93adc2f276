"""Contrastive search against the paper's formula, computed over the whole text for every candidate."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from storyteller.engine.sampling import resolve, row_adjustment
from storyteller.engine.search import contrastive_search
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import EngineError
from tests.stubs.naive_decoder import NaiveDecoder, tiny_gpt2
from tests.stubs.piece_tokenizer import PieceTokenizer

VOCAB = 61
PROMPT = [5, 17, 3, 3, 40]


@torch.inference_mode()
def by_the_formula(model: Any, prompt: list[int], k: int, alpha: float, tokens: int) -> list[int]:
    ids = list(prompt)
    for _ in range(tokens):
        probabilities = model(torch.tensor([ids])).logits[0, -1].softmax(0)
        best, chosen = -float("inf"), -1
        for token in probabilities.topk(k).indices.tolist():
            states = model.transformer(torch.tensor([[*ids, token]])).last_hidden_state[0]
            likeness = max(float(torch.cosine_similarity(states[-1], state, dim=0)) for state in states[:-1])
            score = (1 - alpha) * float(probabilities[token]) - alpha * likeness
            if score > best:
                best, chosen = score, token
        ids.append(chosen)
    return ids[len(prompt) :]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("k", "alpha"), [(4, 0.6), (8, 0.3), (2, 1.0)])
def test_the_tokens_of_the_paper(seed: int, k: int, alpha: float) -> None:
    model = tiny_gpt2(seed)
    ours = contrastive_search(NaiveDecoder(model, eos=VOCAB), PROMPT, k=k, alpha=alpha, max_tokens=10)
    assert [choice.token for choice in ours] == by_the_formula(model, PROMPT, k, alpha, 10)


@pytest.mark.parametrize(("k", "alpha"), [(4, 0.0), (1, 0.6)])
def test_without_contrast_or_choice_it_is_greedy(k: int, alpha: float) -> None:
    model = tiny_gpt2(1)
    ours = contrastive_search(NaiveDecoder(model, eos=VOCAB), PROMPT, k=k, alpha=alpha, max_tokens=9)
    greedy = model.generate(torch.tensor([PROMPT]), max_new_tokens=9, do_sample=False, eos_token_id=VOCAB)
    assert [choice.token for choice in ours] == greedy[0, len(PROMPT) :].tolist()


@torch.inference_mode()
def test_logprobs_are_the_model_s_own() -> None:
    model = tiny_gpt2(1)
    choices = list(contrastive_search(NaiveDecoder(model, eos=VOCAB), PROMPT, k=4, alpha=0.6, max_tokens=6))
    ids = [choice.token for choice in choices]
    logprobs = model(torch.tensor([[*PROMPT, *ids]])).logits[0].log_softmax(-1)
    expected = [float(logprobs[len(PROMPT) - 1 + at, token]) for at, token in enumerate(ids)]
    assert [choice.logprob for choice in choices] == pytest.approx(expected, abs=1e-4)


def test_the_end_of_the_document_is_its_last_token() -> None:
    model = tiny_gpt2(1)
    free = by_the_formula(model, PROMPT, 4, 0.6, 10)
    eos = free[3]
    ours = contrastive_search(NaiveDecoder(model, eos=eos), PROMPT, k=4, alpha=0.6, max_tokens=10)
    assert [choice.token for choice in ours] == free[: free.index(eos) + 1]


def test_one_decode_a_token_and_none_once_cancelled() -> None:
    decoder = NaiveDecoder(tiny_gpt2(1), eos=VOCAB)
    told = iter([False, False, True])
    choices = list(
        contrastive_search(decoder, PROMPT, k=4, alpha=0.6, max_tokens=9, cancelled=lambda: next(told))
    )
    assert len(choices) == decoder.decoded == 2


def test_a_full_window_ends_it() -> None:
    choices = contrastive_search(
        NaiveDecoder(tiny_gpt2(1), eos=VOCAB), [3] * 46, k=4, alpha=0.6, max_tokens=9
    )
    assert len(list(choices)) == 2


def test_a_damaged_model_is_refused() -> None:
    model = tiny_gpt2(1)
    model.transformer.ln_f.bias.data[0] = float("nan")
    with pytest.raises(EngineError, match="not a number"):
        list(contrastive_search(NaiveDecoder(model), PROMPT, k=2, alpha=0.6, max_tokens=5))


@pytest.mark.parametrize("prompt", [[], [1] * 49])
def test_a_prompt_that_does_not_fit_is_refused(prompt: list[int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        list(contrastive_search(NaiveDecoder(tiny_gpt2(1)), prompt, k=2, alpha=0.6, max_tokens=5))


def test_banned_tokens_are_no_candidates_and_without_any_the_text_ends() -> None:
    model, pieces = tiny_gpt2(1), PieceTokenizer([f"piece{token}" for token in range(1, VOCAB)])
    two = row_adjustment(resolve(SamplerSettings(banned_tokens=tuple(range(2, VOCAB))), pieces))
    chosen = [
        choice.token
        for choice in contrastive_search(
            NaiveDecoder(model, eos=VOCAB), PROMPT, k=4, alpha=0.6, max_tokens=6, adjust=two
        )
    ]
    assert len(chosen) == 6
    assert set(chosen) <= {0, 1}
    nothing = row_adjustment(resolve(SamplerSettings(banned_tokens=tuple(range(VOCAB))), pieces))
    (only,) = contrastive_search(NaiveDecoder(model), PROMPT, k=4, alpha=0.6, max_tokens=6, adjust=nothing)
    assert only.token == model.config.eos_token_id


def test_more_candidates_than_tokens() -> None:
    model = tiny_gpt2(1, vocab_size=2)
    choices = list(contrastive_search(NaiveDecoder(model, eos=9), [1], k=4, alpha=0.6, max_tokens=5))
    assert [choice.token for choice in choices] == by_the_formula(model, [1], 2, 0.6, 5)
