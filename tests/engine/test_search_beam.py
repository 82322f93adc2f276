"""Beam search against transformers' own, and where that has no answer, by hand."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import torch

from storyteller.engine.sampling import resolve, row_adjustment
from storyteller.engine.search import Continuation, beam_search
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import EngineError
from tests.stubs.naive_decoder import NaiveDecoder, tiny_gpt2
from tests.stubs.piece_tokenizer import PieceTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from storyteller.engine.decoder import Decoder

VOCAB = 61
PROMPT = [5, 17, 3, 3, 40]


def adjustment(**chosen: Any) -> Callable[[Tensor, Sequence[Sequence[int]]], Tensor]:
    pieces = [f"piece{token}" for token in range(1, VOCAB)]
    return row_adjustment(resolve(SamplerSettings(loop_guard=False, **chosen), PieceTokenizer(pieces)))


def common_token(model: Any) -> int:
    """A token this model likes to say: as the end of the text it makes beams end at different lengths."""
    greedy = model.generate(torch.tensor([PROMPT]), max_new_tokens=6, do_sample=False, eos_token_id=VOCAB)
    return int(greedy[0, -2])


def theirs(model: Any, eos: int, beams: int, tokens: int, **options: Any) -> list[tuple[list[int], float]]:
    output = model.generate(
        torch.tensor([PROMPT]),
        attention_mask=torch.ones(1, len(PROMPT), dtype=torch.int64),
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=tokens,
        do_sample=False,
        eos_token_id=eos,
        pad_token_id=VOCAB + 1,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    found = []
    for row, score in zip(output.sequences.tolist(), output.sequences_scores.tolist(), strict=True):
        ids = [token for token in row[len(PROMPT) :] if token <= VOCAB]
        found.append((ids[: ids.index(eos)] if eos in ids else ids, score))
    return found


def check_equal(ours: list[Continuation], expected: list[tuple[list[int], float]]) -> None:
    assert [list(found.ids) for found in ours] == [ids for ids, _ in expected]
    assert [found.score for found in ours] == pytest.approx([score for _, score in expected], rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("beams", [2, 3, 5])
@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("length_penalty", [1.0, 0.0, 2.5, -1.0])
def test_the_same_continuations_as_transformers(
    seed: int, beams: int, early_stopping: bool, length_penalty: float
) -> None:
    model = tiny_gpt2(seed)
    eos = common_token(model)
    expected = theirs(model, eos, beams, 12, early_stopping=early_stopping, length_penalty=length_penalty)
    ours = list(
        beam_search(
            NaiveDecoder(model, eos=eos),
            PROMPT,
            beams=beams,
            max_tokens=12,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
        )
    )
    check_equal(ours, expected)
    assert {found.finish for found in ours} <= {"eos", "length"}


@pytest.mark.parametrize(
    ("ours", "hugging"),
    [
        ({"no_repeat_ngram": 2}, {"no_repeat_ngram_size": 2}),
        ({"repetition_penalty": 1.3}, {"repetition_penalty": 1.3}),
        ({"banned_tokens": (7, 9)}, {"suppress_tokens": [7, 9]}),
    ],
)
def test_penalties_act_as_in_transformers(ours: dict[str, Any], hugging: dict[str, Any]) -> None:
    for seed in range(3):
        model = tiny_gpt2(seed)
        eos = common_token(model)
        found = beam_search(
            NaiveDecoder(model, eos=eos), PROMPT, beams=3, max_tokens=10, adjust=adjustment(**ours)
        )
        check_equal(list(found), theirs(model, eos, 3, 10, early_stopping=True, **hugging))


def test_one_beam_is_greedy() -> None:
    model = tiny_gpt2(1)
    (found,) = beam_search(NaiveDecoder(model, eos=VOCAB), PROMPT, beams=1, max_tokens=9)
    greedy = model.generate(torch.tensor([PROMPT]), max_new_tokens=9, do_sample=False, eos_token_id=VOCAB)
    assert list(found.ids) == greedy[0, len(PROMPT) :].tolist()
    assert found.finish == "length"


@torch.inference_mode()
def test_with_as_many_beams_as_texts_the_best_of_all_is_found() -> None:
    model = tiny_gpt2(3, vocab_size=4)
    decoder = NaiveDecoder(model, eos=99)
    (best, *_) = beam_search(decoder, [1, 2], beams=16, max_tokens=3)
    totals = {}
    for text in product(range(4), repeat=3):
        logprobs = model(torch.tensor([[1, 2, *text]])).logits[0].log_softmax(-1)
        totals[text] = sum(float(logprobs[1 + at, token]) for at, token in enumerate(text))
    assert best.ids == max(totals, key=lambda text: totals[text])
    assert sum(best.logprobs) == pytest.approx(totals[best.ids], abs=1e-4)


@torch.inference_mode()
def test_logprobs_are_the_model_s_own_whatever_was_adjusted() -> None:
    model = tiny_gpt2(2)
    for found in beam_search(
        NaiveDecoder(model, eos=VOCAB),
        PROMPT,
        beams=3,
        max_tokens=6,
        adjust=adjustment(repetition_penalty=1.5),
    ):
        logprobs = model(torch.tensor([[*PROMPT, *found.ids]])).logits[0].log_softmax(-1)
        expected = [float(logprobs[len(PROMPT) - 1 + at, token]) for at, token in enumerate(found.ids)]
        assert list(found.logprobs) == pytest.approx(expected, abs=1e-4)


def test_a_text_that_has_ended_otherwise_is_whole() -> None:
    model = tiny_gpt2(1)
    found = list(
        beam_search(
            NaiveDecoder(model, eos=VOCAB), PROMPT, beams=3, max_tokens=20, ended=lambda ids: len(ids) == 4
        )
    )
    assert len(found) == 3
    assert {(len(each.ids), each.finish) for each in found} == {(4, "stop")}


def test_cancelled_it_gives_the_best_so_far() -> None:
    steps = iter(range(100))
    found = list(
        beam_search(
            NaiveDecoder(tiny_gpt2(1), eos=VOCAB),
            PROMPT,
            beams=3,
            max_tokens=20,
            cancelled=lambda: next(steps) == 5,
        )
    )
    assert {(len(each.ids), each.finish) for each in found} == {(5, "cancelled")}
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_cancelled_before_the_first_token() -> None:
    (found,) = beam_search(NaiveDecoder(tiny_gpt2(1)), PROMPT, beams=3, max_tokens=5, cancelled=lambda: True)
    assert (found.ids, found.finish) == ((), "cancelled")


def test_a_full_window_ends_it() -> None:
    model = tiny_gpt2(1)
    for size, expected in ((46, 3), (48, 1)):
        found = list(beam_search(NaiveDecoder(model, eos=VOCAB), [3] * size, beams=2, max_tokens=20))
        assert {(len(each.ids), each.finish) for each in found} == {(expected, "length")}


def test_nothing_asked_for_nothing_found() -> None:
    (found,) = beam_search(NaiveDecoder(tiny_gpt2(1)), PROMPT, beams=3, max_tokens=0)
    assert (found.ids, found.finish) == ((), "length")


def test_a_damaged_model_is_refused() -> None:
    model = tiny_gpt2(1)
    model.transformer.ln_f.bias.data[0] = float("nan")
    with pytest.raises(EngineError, match="not a number"):
        list(beam_search(NaiveDecoder(model), PROMPT, beams=2, max_tokens=5))


@pytest.mark.parametrize("prompt", [[], [1] * 49])
def test_a_prompt_that_does_not_fit_is_refused(prompt: list[int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        list(beam_search(NaiveDecoder(tiny_gpt2(1)), prompt, beams=2, max_tokens=5))


def test_when_everything_is_banned_the_texts_end() -> None:
    everything = adjustment(banned_tokens=tuple(range(VOCAB)))
    found = list(beam_search(NaiveDecoder(tiny_gpt2(1)), PROMPT, beams=3, max_tokens=5, adjust=everything))
    assert [(each.ids, each.finish) for each in found] == [((), "eos")]


def test_fewer_tokens_than_beams() -> None:
    model = tiny_gpt2(1, vocab_size=2)
    found = list(beam_search(NaiveDecoder(model, eos=9), [1], beams=4, max_tokens=2))
    assert {each.ids for each in found} == set(product(range(2), repeat=2))


def test_the_naive_decoder_fits_the_protocol() -> None:
    decoder: Decoder = NaiveDecoder(tiny_gpt2())
    assert decoder.window == 48
