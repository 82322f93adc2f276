"""A take's sampler: the order of steps, seeds, going back, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from storyteller.engine.sampling import (
    TakeSampler,
    build_sampler,
    dynamic_temperature,
    epsilon_cutoff,
    eta_cutoff,
    min_p,
    tail_free,
    top_a,
    top_k,
    top_p,
    typical,
)
from storyteller.engine.sampling.history import History
from storyteller.engine.sampling.pipeline import adjusted, candidates, cut, row_adjustment
from storyteller.engine.sampling.rules import resolve
from storyteller.engine.sampling.texts import breaker_tokens, exempt_tokens
from storyteller.engine.settings import LARGEST, SamplerSettings
from storyteller.errors import EngineError, SettingsError
from tests.stubs.piece_tokenizer import PieceTokenizer

LETTERS = PieceTokenizer()
WORDS = PieceTokenizer(
    ["the", " cat", " sat", " on", " a", " mat", ".", "\n", " so", " it", " was", "\n\n", '"']
)


def model(history: list[int], vocab: int, spread: float = 2.0) -> Tensor:
    """A made-up language model: logits that depend on the last two tokens alone."""
    seed = hash(tuple(history[-2:])) % 2**32
    return torch.randn(vocab, generator=torch.Generator().manual_seed(seed)) * spread


def write(sampler: TakeSampler, tokens: int, prompt: list[int], vocab: int, **given_too: Any) -> list[int]:
    for _ in range(tokens):
        choice = sampler.sample(model([*prompt, *sampler.ids], vocab), **given_too)
        sampler.accept(choice.token)
        sampler.go_back()
    return list(sampler.ids)


def sampler_for(
    chosen: SamplerSettings,
    prompt: list[int] | None = None,
    *,
    seed: int = 1,
    tokenizer: PieceTokenizer = LETTERS,
) -> TakeSampler:
    return build_sampler(chosen, tokenizer, prompt_ids=prompt or [], seed=seed)


LIVELY = SamplerSettings(
    temperature=0.9,
    top_k=20,
    top_p=0.95,
    mirostat_tau=2.0,
    xtc_probability=0.3,
    repetition_penalty=1.1,
    dry_multiplier=0.8,
    no_repeat_ngram=5,
)


def test_the_same_seed_writes_the_same_text_and_another_another() -> None:
    vocab = LETTERS.vocab_size
    texts = [write(sampler_for(LIVELY, [3, 4], seed=seed), 40, [3, 4], vocab) for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("seed", [-1, 0, 2**63, 2**64 + 5, -(2**70)])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert sampler_for(LIVELY, seed=seed).sample(torch.zeros(LETTERS.vocab_size)).token >= 0


def test_a_draw_uses_the_take_s_own_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    write(sampler_for(LIVELY), 5, [], LETTERS.vocab_size)
    assert torch.equal(before, torch.get_rng_state())


def test_the_logprob_is_the_model_s_own() -> None:
    logits = model([1], LETTERS.vocab_size)
    for chosen in (LIVELY, SamplerSettings(method="greedy", repetition_penalty=1.5)):
        choice = sampler_for(chosen, [1, 2, 3]).sample(logits)
        assert choice.logprob == pytest.approx(float(logits.log_softmax(0)[choice.token]), abs=1e-5)


def test_sampling_does_not_change_the_logits_it_is_given() -> None:
    logits = model([1], LETTERS.vocab_size)
    before = logits.clone()
    sampler_for(LIVELY, [1, 2, 3, 1, 2]).sample(logits)
    assert torch.equal(logits, before)


@pytest.mark.parametrize(
    "chosen", [SamplerSettings(method="greedy"), SamplerSettings(temperature=0.0, top_k=5)]
)
def test_greedy_takes_the_likeliest_after_the_penalties(chosen: SamplerSettings) -> None:
    logits = torch.tensor([0.0, 3.0, 2.9, 0.0] + [0.0] * 34)
    assert sampler_for(chosen).sample(logits).token == 1
    penalised = msgspec.structs.replace(chosen, repetition_penalty=1.2)
    assert sampler_for(penalised, [1]).sample(logits).token == 2
    banned = msgspec.structs.replace(chosen, banned_tokens=(1, 2), logit_bias={3: 1.0})
    assert sampler_for(banned).sample(logits).token == 3


def test_bf16_logits_are_read_as_float32() -> None:
    logits = model([1], LETTERS.vocab_size).bfloat16()
    assert sampler_for(LIVELY).sample(logits).token == sampler_for(LIVELY).sample(logits.float()).token


plain_settings = st.builds(
    SamplerSettings,
    temperature=st.sampled_from([0.3, 0.8, 1.0, 1.7]),
    dynamic_temperature=st.sampled_from([0.0, 0.2]),
    top_k=st.sampled_from([0, 0, 3, 40]),
    top_p=st.sampled_from([1.0, 0.5, 0.92]),
    min_p=st.sampled_from([0.0, 0.05, 0.3]),
    typical_p=st.sampled_from([1.0, 0.8]),
    tail_free=st.sampled_from([1.0, 0.9]),
    top_a=st.sampled_from([0.0, 0.2]),
    epsilon_cutoff=st.sampled_from([0.0, 1e-3]),
    eta_cutoff=st.sampled_from([0.0, 1e-3]),
)


@settings(max_examples=200)
@given(plain_settings, st.integers(0, 1000))
def test_working_on_the_candidates_equals_the_steps_over_the_whole_vocabulary(
    chosen: SamplerSettings, seed: int
) -> None:
    logits = torch.randn(300, generator=torch.Generator().manual_seed(seed)) * 2
    logits[::7] = -math.inf
    plain = top_k(logits, chosen.top_k)
    plain = dynamic_temperature(
        plain, chosen.temperature, chosen.dynamic_temperature, chosen.dynamic_exponent
    )
    plain = min_p(top_p(plain, chosen.top_p), chosen.min_p)
    plain = eta_cutoff(
        epsilon_cutoff(typical(plain, chosen.typical_p), chosen.epsilon_cutoff), chosen.eta_cutoff
    )
    plain = top_a(tail_free(plain, chosen.tail_free), chosen.top_a)

    ids, scores = candidates(logits, chosen)
    scores = cut(ids, scores, resolve(chosen, LETTERS), xtc_chance=1.0, bound=math.inf)
    fast = torch.zeros(300).index_put((ids,), scores.softmax(0))
    torch.testing.assert_close(fast, plain.softmax(0), rtol=1e-4, atol=1e-6)


def test_neutral_settings_sample_the_model_itself() -> None:
    logits = torch.tensor([0.5, 0.25, 0.25]).log()
    tokenizer = PieceTokenizer(["a", "b"])
    sampler = sampler_for(SamplerSettings(loop_guard=False), tokenizer=tokenizer)
    counts = [0, 0, 0]
    for _ in range(2000):
        counts[sampler.sample(logits).token] += 1
    assert counts[0] == pytest.approx(1000, abs=90)
    assert counts[1] == pytest.approx(500, abs=80)


# history


def test_the_history_kept_token_by_token_adjusts_as_a_fresh_one() -> None:
    chosen = SamplerSettings(
        repetition_penalty=1.2,
        frequency_penalty=0.2,
        presence_penalty=0.1,
        penalty_range=9,
        dry_multiplier=0.8,
        no_repeat_ngram=3,
        penalty_exempt=("\n",),
    )
    rules = resolve(chosen, LETTERS)
    kept = History(rules, [1, 2, 3])
    logits = model([1], LETTERS.vocab_size)
    for step in range(60):
        if step % 7 == 6:
            kept.rewind(4)
        kept.append(step * step % 5 + 1)
        fresh = History(rules, kept.ids)
        assert torch.equal(adjusted(logits, rules, kept), adjusted(logits, rules, fresh))


def test_rows_of_a_search_are_adjusted_each_by_its_own_history() -> None:
    rules = resolve(SamplerSettings(repetition_penalty=1.2, no_repeat_ngram=2), LETTERS)
    rows = torch.stack([model([1], LETTERS.vocab_size), model([2], LETTERS.vocab_size)])
    together = row_adjustment(rules)(rows, [[1, 2, 1], [5]])
    assert torch.equal(together[0], adjusted(rows[0], rules, History(rules, [1, 2, 1])))
    assert torch.equal(together[1], adjusted(rows[1], rules, History(rules, [5])))


@pytest.mark.parametrize("back", [0, 1, 7])
def test_from_a_state_what_follows_is_what_followed(back: int) -> None:
    vocab = LETTERS.vocab_size
    sampler = sampler_for(LIVELY, [3, 4])
    write(sampler, 10, [3, 4], vocab)
    state = sampler.state
    first = write(sampler, 7, [3, 4], vocab)
    sampler.restore(state)
    assert write(sampler, 7, [3, 4], vocab) == first


def test_a_rewind_restores_mirostat_and_what_repeats() -> None:
    vocab = LETTERS.vocab_size
    sampler = sampler_for(LIVELY, [3, 4])
    write(sampler, 10, [3, 4], vocab)
    bounds, ids = sampler.state.bounds, sampler.ids
    write(sampler, 5, [3, 4], vocab)
    sampler.rewind(len(sampler.ids) - 10)
    assert sampler.ids == ids
    assert sampler.state.bounds == bounds


def test_a_token_the_writer_chose_instead_is_accepted() -> None:
    sampler = sampler_for(LIVELY, [3])
    choice = sampler.sample(model([3], LETTERS.vocab_size))
    other = (choice.token + 1) % LETTERS.vocab_size
    before = sampler.state.bounds
    sampler.accept(other)
    assert sampler.ids == (other,)
    assert sampler.state.bounds == (*before, before[-1])


def test_no_take_goes_back_into_its_prompt() -> None:
    sampler = sampler_for(LIVELY, [3, 4])
    sampler.accept(5)
    with pytest.raises(ValueError, match="cannot go back 2"):
        sampler.rewind(2)


# several takes, constraints, second opinions


def test_diversity_keeps_takes_apart() -> None:
    logits = torch.tensor([0.0, 4.0, 3.0, 0.0] + [0.0] * 34)
    chosen = SamplerSettings(method="greedy", diversity=2.0)
    assert sampler_for(chosen).sample(logits).token == 1
    assert sampler_for(chosen).sample(logits, taken=[1]).token == 2
    assert sampler_for(SamplerSettings(method="greedy")).sample(logits, taken=[1]).token == 1


def test_a_healed_word_admits_only_its_continuations() -> None:
    allowed = torch.zeros(LETTERS.vocab_size, dtype=torch.bool)
    allowed[[5, 9]] = True
    sampler = sampler_for(LIVELY)
    logits = model([1], LETTERS.vocab_size)
    for _ in range(50):
        choice = sampler.sample(logits, allowed=allowed)
        assert choice.token in {5, 9}
        assert choice.logprob == pytest.approx(float(logits.log_softmax(0)[choice.token]), abs=1e-5)


def test_a_healed_word_is_finished_whatever_a_second_opinion_thinks_plausible() -> None:
    logits = torch.zeros(LETTERS.vocab_size)
    logits[1] = 20.0
    allowed = torch.zeros(LETTERS.vocab_size, dtype=torch.bool)
    allowed[[5, 9]] = True
    sampler = sampler_for(SamplerSettings(adapter_contrast=1.0, guidance_scale=2.0))
    choice = sampler.sample(logits, allowed=allowed, base=torch.zeros_like(logits), negative=logits.flip(0))
    assert choice.token in {5, 9}
    assert sampler.take_notices() == []


def test_guidance_and_contrast_are_used_when_asked_for() -> None:
    chosen = SamplerSettings(method="greedy", guidance_scale=3.0, adapter_contrast=1.0)
    sampler = sampler_for(chosen)
    assert sampler.needs_negative
    assert sampler.needs_base
    logits = torch.tensor([2.0, 1.9, 0.0] + [-9.0] * 35)
    like_first = torch.tensor([2.0, 0.0, 0.0] + [-9.0] * 35)
    assert sampler.sample(logits).token == 0
    assert sampler.sample(logits, negative=like_first).token == 1
    assert sampler.sample(logits, base=like_first).token == 1
    plain = sampler_for(SamplerSettings(method="greedy"))
    assert not plain.needs_negative
    assert not plain.needs_base
    assert plain.sample(logits, negative=like_first, base=like_first).token == 0


# banned phrases and loops


def phrase_sampler(**given_too: Any) -> TakeSampler:
    chosen = SamplerSettings(method="greedy", banned_phrases=("cat sat",), **given_too)
    return sampler_for(chosen, tokenizer=WORDS)


def force(sampler: TakeSampler, *texts: str) -> None:
    for text in texts:
        sampler.accept(WORDS.encode(text)[0])


def test_a_banned_phrase_is_left_and_not_begun_there_again() -> None:
    sampler = phrase_sampler()
    force(sampler, "the", " cat")
    assert sampler.go_back() is None
    assert sampler.held_back == 3
    force(sampler, " sat")
    back = sampler.go_back()
    assert back is not None
    assert back.tokens == 2
    assert "cat sat" in back.reason
    assert "62 of 64" in back.reason
    assert sampler.ids == tuple(WORDS.encode("the"))
    logits = torch.zeros(WORDS.vocab_size)
    logits[WORDS.encode(" cat")] = 9.0
    logits[WORDS.encode(" mat")] = 8.0
    assert sampler.sample(logits).token == WORDS.encode(" mat")[0]
    force(sampler, " mat")
    assert sampler.sample(logits).token == WORDS.encode(" cat")[0], "forbidden at that place alone"


def test_a_spent_budget_lets_the_phrase_stand_and_says_so_once() -> None:
    sampler = phrase_sampler(rewind_budget=3)
    for _ in range(3):
        force(sampler, "the", " cat", " sat")
        sampler.go_back()
    assert sampler.ids == tuple(WORDS.encode("the") + WORDS.encode("the cat sat") * 2)
    notices = sampler.take_notices()
    assert len(notices) == 1
    assert "cat sat" in notices[0]
    assert "1 of 3" in notices[0]
    assert sampler.take_notices() == []


def test_a_loop_is_left_and_dry_raised() -> None:
    sampler = sampler_for(SamplerSettings(method="greedy"), WORDS.encode("the"), tokenizer=WORDS)
    logits = torch.zeros(WORDS.vocab_size)
    cycle = [WORDS.encode(text)[0] for text in (" cat", " sat", " mat", " was")]
    backs = []
    for _ in range(30):
        wanted = cycle[len(sampler.ids) % 4]
        scores = logits.clone()
        scores[wanted] = 3.0
        sampler.accept(sampler.sample(scores).token)
        back = sampler.go_back()
        if back is not None:
            backs.append((back.tokens, sampler.ids))
    assert backs[0] == (12, tuple(cycle)), "said once is kept"
    assert sampler.ids[4] != cycle[0]
    assert sampler.state.dry_multiplier > 0.0


def test_a_take_that_repeats_the_prompt_goes_back_to_its_start_at_most() -> None:
    prompt = WORDS.encode("the cat sat on") * 3
    sampler = sampler_for(SamplerSettings(), prompt, tokenizer=WORDS)
    force(sampler, "the", " cat", " sat", " on")
    back = sampler.go_back()
    assert back is not None
    assert back.tokens <= 4


def test_tokens_of_the_writer_s_are_neither_a_loop_nor_a_phrase() -> None:
    prompt = WORDS.encode("the cat sat on") * 3
    sampler = sampler_for(SamplerSettings(banned_phrases=("cat sat",)), prompt, tokenizer=WORDS)
    for typed, text in enumerate(("the", " cat", " sat", " on"), 1):
        force(sampler, text)
        assert sampler.go_back(typed) is None
    assert (sampler.budget, sampler.state.dry_multiplier) == (64, 0.0)
    force(sampler, "the")
    back = sampler.go_back(4)
    assert back is not None
    assert back.tokens == 1


def test_only_what_is_new_of_a_banned_phrase_is_taken_back() -> None:
    sampler = phrase_sampler()
    force(sampler, "the", " cat", " sat")
    back = sampler.go_back(2)
    assert back is not None
    assert sampler.ids == tuple(WORDS.encode("the cat"))


def test_penalties_and_bans_leave_alone_what_was_typed() -> None:
    cat, mat = WORDS.encode(" cat mat")
    chosen = SamplerSettings(method="greedy", repetition_penalty=5.0, no_repeat_ngram=2, banned_tokens=(cat,))
    sampler = sampler_for(chosen, WORDS.encode("the cat sat the"), tokenizer=WORDS)
    logits = torch.zeros(WORDS.vocab_size)
    logits[cat], logits[mat] = 9.0, 8.0
    allowed = logits > 0.0
    assert sampler.sample(logits, allowed=allowed).token == mat
    assert sampler.sample(logits, allowed=allowed, typed=torch.tensor([cat])).token == cat


def test_an_indentation_is_no_loop_and_endless_blanks_are() -> None:
    blanks = PieceTokenizer([" ", "x"])
    sampler = sampler_for(SamplerSettings(), tokenizer=blanks)
    backs = []
    for _ in range(60):
        sampler.accept(1)
        backs.append(sampler.go_back())
    assert backs[:40] == [None] * 40
    assert any(backs)


def test_no_guard_no_going_back() -> None:
    sampler = sampler_for(SamplerSettings(loop_guard=False), tokenizer=WORDS)
    force(sampler, *["the"] * 50)
    assert sampler.go_back() is None


# what is refused, and what happens when nothing is left


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_damaged_logits_are_refused(bad: float) -> None:
    logits = torch.zeros(LETTERS.vocab_size)
    logits[3] = bad
    with pytest.raises(EngineError, match="not a number"):
        sampler_for(LIVELY).sample(logits)
    with pytest.raises(EngineError):
        sampler_for(LIVELY).sample(torch.full((LETTERS.vocab_size,), -math.inf))


@pytest.mark.parametrize("method", ["sample", "greedy"])
def test_when_everything_is_banned_the_text_ends_and_says_so(method: Any) -> None:
    chosen = SamplerSettings(method=method, banned_tokens=tuple(range(LETTERS.vocab_size)), top_k=4)
    sampler = sampler_for(chosen)
    assert sampler.sample(model([1], LETTERS.vocab_size)).token == LETTERS.eos
    assert "forbid every token" in sampler.take_notices()[0]


def test_when_a_healed_word_is_banned_it_is_finished_all_the_same() -> None:
    allowed = torch.zeros(LETTERS.vocab_size, dtype=torch.bool)
    allowed[5] = True
    sampler = sampler_for(SamplerSettings(banned_tokens=(5,)))
    assert sampler.sample(model([1], LETTERS.vocab_size), allowed=allowed).token == 5
    assert sampler.take_notices()


def test_a_vocabulary_of_one() -> None:
    sampler = sampler_for(LIVELY, tokenizer=PieceTokenizer([]))
    for _ in range(5):
        choice = sampler.sample(torch.tensor([0.3]))
        assert choice.token == 0
        assert choice.logprob == pytest.approx(0.0)
        sampler.accept(choice.token)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (SamplerSettings(temperature=math.inf), "temperature"),
        (SamplerSettings(presence_penalty=math.nan), "presence_penalty"),
        (SamplerSettings(top_k=10**20), "top_k"),
        (SamplerSettings(logit_bias={1: math.inf}), "logit_bias"),
        (SamplerSettings(logit_bias={1: math.nan}), "logit_bias"),
        (SamplerSettings(logit_bias={999: 1.0}), "999"),
        (SamplerSettings(banned_tokens=(-1,)), "-1"),
        (SamplerSettings(banned_phrases=("x", "")), "empty"),
    ],
)
def test_unusable_settings_are_refused_by_name(chosen: SamplerSettings, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        sampler_for(chosen)


@pytest.mark.parametrize("top", [0, 5])
def test_settings_that_drive_scores_beyond_float32_are_refused_when_they_tell(top: int) -> None:
    sampler = sampler_for(SamplerSettings(repetition_penalty=1e-300, top_k=top), [1])
    with pytest.raises(SettingsError, match="out of range"):
        sampler.sample(torch.ones(LETTERS.vocab_size))


fractions = st.floats(0, 1)
amounts = st.floats(0, LARGEST)
positive = st.floats(1e-308, LARGEST)
any_settings = st.builds(
    SamplerSettings,
    method=st.sampled_from(["sample", "sample", "sample", "greedy"]),
    temperature=amounts,
    dynamic_temperature=amounts,
    dynamic_exponent=positive,
    top_k=st.integers(0, LARGEST),
    top_p=fractions,
    min_p=fractions,
    typical_p=fractions,
    epsilon_cutoff=fractions,
    eta_cutoff=fractions,
    tail_free=fractions,
    top_a=fractions,
    mirostat_tau=amounts,
    mirostat_eta=positive,
    xtc_probability=fractions,
    xtc_threshold=fractions,
    repetition_penalty=positive,
    frequency_penalty=st.floats(-LARGEST, LARGEST),
    presence_penalty=st.floats(-LARGEST, LARGEST),
    penalty_range=st.integers(0, LARGEST),
    penalty_exempt=st.lists(st.text(max_size=2), max_size=2).map(tuple),
    no_repeat_ngram=st.integers(0, LARGEST),
    dry_multiplier=amounts,
    dry_base=positive,
    dry_allowed_length=st.integers(0, LARGEST),
    dry_range=st.integers(0, LARGEST),
    dry_breakers=st.lists(st.text(max_size=2), max_size=2).map(tuple),
    diversity=amounts,
    loop_guard=st.booleans(),
    logit_bias=st.dictionaries(st.integers(0, 36), st.floats(-LARGEST, LARGEST), max_size=2),
    banned_tokens=st.lists(st.integers(0, 36), max_size=3).map(tuple),
    banned_phrases=st.lists(st.text("abc", min_size=1, max_size=2), max_size=2).map(tuple),
    rewind_budget=st.integers(0, LARGEST),
    guidance_scale=amounts,
    adapter_contrast=amounts,
)


@settings(max_examples=400)
@given(any_settings, st.integers(0, 2**64))
def test_any_settings_give_a_token_or_are_refused(chosen: SamplerSettings, seed: int) -> None:
    vocab = LETTERS.vocab_size
    sampler = sampler_for(chosen, [1, 2, 3, 1, 2], seed=seed)
    for step in range(8):
        logits = model([step], vocab)
        try:
            choice = sampler.sample(
                logits, negative=model([step, 1], vocab), base=model([step, 2], vocab), taken=[1]
            )
        except SettingsError:
            return
        assert 0 <= choice.token < vocab
        assert math.isfinite(choice.logprob)
        sampler.accept(choice.token)
        sampler.go_back()


# texts in the settings


def test_texts_are_looked_up_as_tokens() -> None:
    newline, blank_line, quote = (WORDS.encode(text)[0] for text in ("\n", "\n\n", '"'))
    assert exempt_tokens(WORDS, ["\n"]) == {newline, blank_line}
    assert exempt_tokens(WORDS, ["cat", ""]) == set(WORDS.encode(" cat"))
    assert breaker_tokens(WORDS, ["\n", '"']) == {newline, blank_line, quote}
    assert breaker_tokens(WORDS, [" cat sat"]) == set(WORDS.encode(" sat"))
    assert breaker_tokens(WORDS, ["ß"]) == frozenset()


def test_an_exempt_newline_is_not_penalised() -> None:
    newline = WORDS.encode("\n")[0]
    chosen = SamplerSettings(
        method="greedy",
        repetition_penalty=2.0,
        frequency_penalty=1.0,
        dry_multiplier=0.8,
        penalty_exempt=("\n",),
    )
    logits = torch.zeros(WORDS.vocab_size)
    logits[newline], logits[1] = 1.0, 1.5
    assert sampler_for(chosen, [newline, 1] * 5, tokenizer=WORDS).sample(logits).token == newline
