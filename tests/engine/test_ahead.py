"""Tokens drawn ahead of the host are the ones it would have drawn, and leave nothing behind that it did not see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.protocol import Began, Context, Done, Generate, Rewound, TakeDone, Token
from storyteller.engine.sampling import TakeSampler
from storyteller.engine.sampling.on_device import UNDECIDED, DeviceDraw, can_draw
from storyteller.engine.settings import SamplerSettings, StopRules
from tests.stubs.operator_step import OperatorStep, with_operator_step
from tests.stubs.tiny_gpt2 import Room, close, takes_of

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.prompt.tokens import Tokens
    from storyteller.engine.protocol import GenerateEvent

FREE = SamplerSettings(loop_guard=False)
KINDS = {
    "all chance": FREE,
    "greedy": SamplerSettings(method="greedy", loop_guard=False),
    "cold": SamplerSettings(temperature=0.0, loop_guard=False),
    "top-k": SamplerSettings(top_k=40, temperature=0.8, loop_guard=False),
    "top-k of everything": SamplerSettings(top_k=1000, loop_guard=False),
    "top-k and top-p": SamplerSettings(top_k=40, top_p=0.9, loop_guard=False),
    "top-p": SamplerSettings(top_p=0.7, temperature=1.3, loop_guard=False),
    "min-p": SamplerSettings(min_p=0.05, loop_guard=False),
    "top-p and min-p": SamplerSettings(top_p=0.95, min_p=0.1, loop_guard=False),
    "bans and bias": SamplerSettings(banned_tokens=(0, 5, 6), logit_bias={7: 3.0, 9: -5.0}, loop_guard=False),
    "a loop guard": SamplerSettings(method="greedy"),
    "a banned phrase": SamplerSettings(top_k=20, banned_phrases=("the", "e"), loop_guard=False),
}
OTHER: dict[str, Any] = {
    "repetition_penalty": 1.1, "dry_multiplier": 0.8, "mirostat_tau": 3.0, "typical_p": 0.9, "no_repeat_ngram": 3,
    "xtc_probability": 0.5, "guidance_scale": 1.5, "diversity": 1.0, "dynamic_temperature": 0.3,
}  # fmt: skip


def ahead_room(folder: Path) -> tuple[Room, OperatorStep]:
    """The model in `folder`, open, with a step that goes on by itself."""
    room = Room(folder)
    model = room.core.opened
    model._network = with_operator_step(model.network)
    model.forget()
    step = model.network.step
    assert isinstance(step, OperatorStep)
    return room, step


def said(events: list[GenerateEvent]) -> list[object]:
    """`events` without what is different from run to run, and with what the cache held before."""
    return [unhurried(event) for event in events if not isinstance(event, Began | Done)]


def unhurried(event: GenerateEvent) -> object:
    """`event` without times, log-probabilities rounded."""
    if isinstance(event, TakeDone):
        return (event.take, event.text, event.ids, event.finish, [round(p, 3) for p in event.logprobs])
    if isinstance(event, Token):
        return (event.take, event.text, event.token, round(event.logprob, 3), len(event.alternatives))
    return event


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_events_are_those_of_the_plain_path(tiny_model: Path, kind: str, seed: int) -> None:
    room, step = ahead_room(tiny_model)
    plain = Room(tiny_model)
    for text in ("The old", "The light", "The old lighthouse keep"):
        asked: dict[str, Any] = {"settings": KINDS[kind], "seed": seed, "max_tokens": 20}
        assert said(room.generate(text, **asked)) == said(plain.generate(text, **asked))
    assert step.advanced > 0


@pytest.mark.parametrize("name", OTHER)
def test_settings_that_look_back_are_the_hosts(tiny_model: Path, name: str) -> None:
    settings = SamplerSettings(loop_guard=False, **{name: OTHER[name]})
    room, step = ahead_room(tiny_model)
    room.generate("The old", settings=settings)
    assert not can_draw(settings)
    assert step.advanced == 0


def test_alternatives_are_the_hosts(tiny_model: Path) -> None:
    room, step = ahead_room(tiny_model)
    room.generate("The old", settings=FREE, alternatives=3)
    assert step.advanced == 0


def test_a_window_that_slides_goes_on(tiny_model: Path) -> None:
    room, _ = ahead_room(tiny_model)
    plain = Room(tiny_model)
    asked: dict[str, Any] = {"settings": FREE, "max_tokens": 150}
    assert said(room.generate("The old", **asked)) == said(plain.generate("The old", **asked))


def test_what_ran_ahead_is_not_in_the_cache(tiny_model: Path) -> None:
    room, step = ahead_room(tiny_model)
    stop = StopRules(max_tokens=40, stop=("e",))
    take = takes_of(room.generate("The old", settings=FREE, stop=stop))[0]
    assert take.finish == "stop"
    lanes = room.core.opened.lanes("main", room.core.opened.network)
    assert step.advanced > lanes.length(0) - 4  # some steps nobody asked for
    again = room.generate("The old", settings=FREE, stop=stop)
    assert takes_of(again)[0].ids == take.ids


def test_hidden_states_are_kept_for_reuse(tiny_model: Path) -> None:
    room, _ = ahead_room(tiny_model)
    events = room.generate("The old", settings=FREE)
    lanes = room.core.opened.lanes("main", room.core.opened.network)
    prompt = next(event.ids for event in events if isinstance(event, Began))
    ids = [*prompt, *takes_of(events)[0].ids]
    plain = Room(tiny_model)
    plain.generate("The old", settings=FREE)
    shared = lanes.reusable(ids)
    assert shared == plain.core.opened.lanes("main", plain.core.opened.network).reusable(ids) > len(ids) - 2
    assert lanes.length(0) == plain.core.opened.lanes("main", plain.core.opened.network).length(0)
    lanes.show(ids[:shared])
    kept = lanes.logits_after(1, shared)
    lanes.show([5])
    lanes.show(ids[:shared])
    assert close(lanes.logits_after(1, shared), kept)


def test_a_cancelled_take_leaves_chance_where_it_was(tiny_model: Path) -> None:
    room, _ = ahead_room(tiny_model)
    cancel = CancelSignal()
    request = Generate(
        id="g", context=Context(text="The old"), seed=1, stop=StopRules(max_tokens=30), settings=FREE
    )
    events = []
    for event in room.core.generate(request, cancel):
        events.append(event)
        if sum(isinstance(e, Token) for e in events) == 5:
            cancel.cancel()
    assert takes_of(events)[0].finish == "cancelled"
    assert len([e for e in events if isinstance(e, Token)]) == 5


def test_a_loop_is_gone_back_from(tiny_model: Path) -> None:
    stuck = SamplerSettings(method="greedy", logit_bias={300: 100.0})
    room, step = ahead_room(tiny_model)
    events = room.generate("The old", settings=stuck, max_tokens=40)
    assert step.advanced > 0
    assert any(isinstance(event, Rewound) for event in events)
    assert said(events) == said(Room(tiny_model).generate("The old", settings=stuck, max_tokens=40))


def drawn(settings: SamplerSettings, tokens: Tokens, logits: torch.Tensor, seed: int) -> tuple[float, float]:
    """What the device draws with the chance that `seed` gives a host."""
    generator = torch.Generator().manual_seed(seed)
    chance = torch.rand((), generator=generator, dtype=torch.float64)
    token, logprob = DeviceDraw(settings, tokens.unused, logits.device)(logits, chance).tolist()
    return token, logprob


@given(
    seed=st.integers(0, 10_000),
    top_k=st.sampled_from([0, 1, 3, 40, 399, 5000]),
    top_p=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.02, 0.3]),
    temperature=st.sampled_from([0.0, 0.2, 1.0, 2.0]),
    spread=st.sampled_from([0.1, 1.0, 5.0]),
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_a_draw_is_the_samplers(
    tiny_tokens: Tokens, seed: int, top_k: int, top_p: float, min_p: float, temperature: float, spread: float
) -> None:
    settings = SamplerSettings(
        top_k=top_k, top_p=top_p, min_p=min_p, temperature=temperature, loop_guard=False, banned_tokens=(3,)
    )
    logits = torch.randn(400, generator=torch.Generator().manual_seed(seed)) * spread
    used = logits.index_fill(0, torch.tensor(tiny_tokens.unused), -torch.inf)  # as `Decoding` hands it on
    choice = TakeSampler(settings, tiny_tokens, prompt_ids=(), seed=seed).sample(used)
    token, logprob = drawn(settings, tiny_tokens, logits, seed)
    assert token == choice.token
    assert logprob == pytest.approx(choice.logprob, abs=1e-5)


def test_chances_drawn_together_are_those_drawn_one_by_one() -> None:
    one, many = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    singly = [float(torch.rand((), generator=one, dtype=torch.float64)) for _ in range(100)]
    assert torch.rand(100, generator=many, dtype=torch.float64).tolist() == singly


@pytest.mark.parametrize(
    "logits",
    [
        torch.full((400,), float("nan")),
        torch.full((400,), -torch.inf),
        torch.cat((torch.tensor([torch.inf]), torch.zeros(399))),
        torch.zeros(400),  # ties at the floor
    ],
)
def test_what_cannot_be_settled_is_left_to_the_host(tiny_tokens: Tokens, logits: torch.Tensor) -> None:
    assert drawn(SamplerSettings(top_k=5, loop_guard=False), tiny_tokens, logits, 0)[0] == UNDECIDED


def test_everything_banned_is_left_to_the_host(tiny_tokens: Tokens) -> None:
    settings = SamplerSettings(banned_tokens=tuple(range(400)), loop_guard=False)
    assert drawn(settings, tiny_tokens, torch.zeros(400), 0)[0] == UNDECIDED


def test_an_undecided_draw_goes_on_as_if_nothing_was(tiny_model: Path) -> None:
    everything = SamplerSettings(banned_tokens=tuple(range(1, 400)), loop_guard=False)
    room, _ = ahead_room(tiny_model)
    assert said(room.generate("The old", settings=everything)) == said(
        Room(tiny_model).generate("The old", settings=everything)
    )
