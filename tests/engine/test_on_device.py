"""The draw on the device against the samplers: the same token for the same chance, the same log-probability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from storyteller.engine.sampling import build_sampler
from storyteller.engine.sampling.draw import uniform
from storyteller.engine.sampling.on_device import draw_on_device, needs_no_history, scores_added
from storyteller.engine.settings import SamplerSettings

if TYPE_CHECKING:
    from storyteller.engine.prompt.tokens import Tokens

SETTINGS = {
    "greedy": SamplerSettings(temperature=0.0, loop_guard=False),
    "greedy with bans": SamplerSettings(temperature=0.0, loop_guard=False, banned_tokens=(3, 7)),
    "top-k": SamplerSettings(top_k=40, loop_guard=False),
    "cool": SamplerSettings(top_k=5, temperature=0.3, loop_guard=False, logit_bias={5: 4.0, 6: -2.0}),
    "hot": SamplerSettings(top_k=400, temperature=1.7, loop_guard=False, banned_tokens=(0,)),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_same_tokens(settings: SamplerSettings, tiny_tokens: Tokens) -> None:
    sampler = build_sampler(settings, tiny_tokens, prompt_ids=(), seed=5)
    chances = torch.Generator().manual_seed(5)
    added = scores_added(settings, (), tiny_tokens.vocab_size)
    logits = torch.randn(50, tiny_tokens.vocab_size, generator=torch.Generator().manual_seed(1)) * 3
    for row in logits:
        expected = sampler.sample(row)
        chance = torch.tensor([uniform(chances)], dtype=torch.float64)
        token, logprob = draw_on_device(row, added, chance, settings).tolist()
        assert int(token) == expected.token
        assert logprob == pytest.approx(expected.logprob, abs=1e-5)


def test_tokens_that_stand_for_nothing_are_not_drawn_and_take_no_share() -> None:
    settings = SamplerSettings(temperature=0.0, loop_guard=False)
    logits = torch.tensor([1.0, 9.0, 2.0, 0.0])
    token, logprob = draw_on_device(
        logits, scores_added(settings, (1,), 4), torch.zeros(1).double(), settings
    )
    assert int(token) == 2
    assert float(logprob) == pytest.approx(float(torch.log_softmax(logits[[0, 2, 3]], 0)[1]))


@pytest.mark.parametrize(
    "field",
    [
        {"repetition_penalty": 1.1}, {"dry_multiplier": 0.8}, {"mirostat_tau": 3.0}, {"top_p": 0.9}, {"min_p": 0.1},
        {"loop_guard": True}, {"banned_phrases": ("a",)}, {"no_repeat_ngram": 3}, {"diversity": 1.0}, {"top_k": 0},
        {"guidance_scale": 2.0}, {"method": "beam"}, {"xtc_probability": 0.5}, {"top_k": 5000},
    ],
)  # fmt: skip
def test_what_needs_more_is_left_to_the_samplers(field: dict[str, object]) -> None:
    assert not needs_no_history(SamplerSettings(**({"top_k": 40, "loop_guard": False} | field)))  # type: ignore[arg-type] # fields of many types
