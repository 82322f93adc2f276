"""A request from end to end: what is streamed, what the takes are, and that nothing depends on the cache."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.core import Core
from storyteller.engine.protocol import (
    Began,
    Context,
    Done,
    Generate,
    Notice,
    Prepare,
    Probe,
    Rewound,
    TakeDone,
    Token,
)
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.engine.writing.lanes import Lanes
from storyteller.engine.writing.score import token_logprobs
from storyteller.errors import EngineError, UserError
from tests.stubs.tiny_gpt2 import WORDS, Room, takes_of, tokens_of, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storyteller.engine.prompt.tokens import Tokens
    from storyteller.engine.protocol import GenerateEvent

PLAIN = SamplerSettings(loop_guard=False)
GREEDY = SamplerSettings(method="greedy", loop_guard=False)


def streamed(events: Sequence[GenerateEvent], take: int = 0) -> str:
    """The text as a screen would hold it after every event."""
    text = ""
    for event in events:
        match event:
            case Token() if event.take == take:
                text += event.text
            case Rewound() if event.take == take:
                text = text[: len(text) - event.characters]
            case _:
                pass
    return text


def test_events_come_in_order(tiny_room: Room) -> None:
    events = tiny_room.generate("The sea", takes=2, max_tokens=5, settings=PLAIN)
    assert isinstance(events[0], Began)
    assert isinstance(events[-1], Done)
    assert [event.take for event in events if isinstance(event, TakeDone)] in ([0, 1], [1, 0])
    for take in takes_of(events):
        position = events.index(take)
        assert all(event.take != take.take for event in events[position + 1 :] if isinstance(event, Token))
        assert take.text == streamed(events, take.take)
        assert 0 < take.first_token_s <= take.seconds
    assert events[0].seeds == (1, 2)
    assert events[-1].tokens == sum(len(tokens_of(events, take)) for take in range(2))


def test_the_same_seed_is_the_same_text(tiny_room: Room, tiny_model: Path) -> None:
    first = takes_of(tiny_room.generate("The old sea", takes=3, settings=PLAIN))
    again = takes_of(tiny_room.generate("The old sea", takes=3, settings=PLAIN))
    elsewhere = takes_of(Room(tiny_model).generate("The old sea", takes=3, settings=PLAIN))
    assert [take.ids for take in first] == [take.ids for take in again] == [take.ids for take in elsewhere]
    other = takes_of(tiny_room.generate("The old sea", takes=3, settings=PLAIN, seed=7))
    assert [take.ids for take in first] != [take.ids for take in other]


def test_a_take_is_the_same_alone_and_beside_others(tiny_room: Room) -> None:
    together = takes_of(tiny_room.generate("The old sea", takes=4, max_tokens=30, settings=PLAIN))
    for number, take in enumerate(together):
        alone = takes_of(tiny_room.generate("The old sea", seed=1 + number, max_tokens=30, settings=PLAIN))
        assert alone[0].ids == take.ids
        assert alone[0].text == take.text


def test_what_the_cache_holds_changes_no_text(starter_room: Room, starter_model: Path) -> None:
    """The same requests, each in a fresh engine and all in one that has just served others like them."""
    settings = SamplerSettings(temperature=0.9, top_k=50, top_p=0.95)
    opening = "The old lighthouse keeper opened the door and looked out at the sea."
    texts = [
        opening,
        opening + " He said",
        opening + " He saw the",
        opening[:40],
        opening + " He said nothing, and",
    ]
    used = [
        takes_of(starter_room.generate(text, takes=2, max_tokens=20, settings=settings))
        for text in (*texts, *texts)
    ]
    for text, one, other in zip(texts, used, used[len(texts) :], strict=False):
        fresh = takes_of(Room(starter_model).generate(text, takes=2, max_tokens=20, settings=settings))
        assert [take.text for take in one] == [take.text for take in other] == [take.text for take in fresh]


def test_an_accepted_take_is_served_from_the_cache(tiny_room: Room) -> None:
    events = tiny_room.generate(
        "",
        ids=tuple(range(20, 40)),
        takes=3,
        max_tokens=10,
        settings=SamplerSettings(loop_guard=False, banned_tokens=(0,)),
    )
    for take in takes_of(events):
        ids = (*range(20, 40), *take.ids)
        began = tiny_room.generate("", ids=ids, max_tokens=0)[0]
        assert isinstance(began, Began)
        if take.take == 0:  # the first one asked for; asking settles which branch stays
            assert began.reused >= len(ids) - 1


def test_logprobs_are_the_models_own_whatever_the_sampler_did(starter_room: Room) -> None:
    settings = SamplerSettings(temperature=1.3, top_k=40, repetition_penalty=1.2, loop_guard=False)
    began, *rest = starter_room.generate("The sea", heal=False, max_tokens=20, settings=settings)
    assert isinstance(began, Began)
    take = takes_of(rest)[0]
    network = starter_room.core.opened.network
    expected = token_logprobs(network, [*began.ids, *take.ids])[len(began.ids) - 1 :]
    assert len(expected) == len(take.logprobs)
    for ours, theirs in zip(take.logprobs, expected, strict=True):
        assert math.isclose(ours, theirs, abs_tol=1e-3)


def test_a_space_at_the_end_is_given_back(tiny_room: Room) -> None:
    for take in takes_of(tiny_room.generate("The old ", takes=8, settings=PLAIN)):
        assert not take.text.startswith(" ")


def test_length_is_what_was_asked_for(tiny_room: Room) -> None:
    settings = SamplerSettings(loop_guard=False, banned_tokens=(0,))
    for count in (0, 1, 7):
        take = takes_of(tiny_room.generate("The sea ", heal=False, max_tokens=count, settings=settings))[0]
        assert take.finish == "length"
        assert (
            len(tokens_of(tiny_room.generate("The sea ", heal=False, max_tokens=count, settings=settings)))
            == count
        )


def test_a_take_longer_than_the_window_slides_on(tiny_room: Room) -> None:
    settings = SamplerSettings(loop_guard=False, banned_tokens=(0,))
    events = tiny_room.generate(
        WORDS, context=Context(text=WORDS, memory="Sea."), takes=2, max_tokens=150, settings=settings
    )
    for take in takes_of(events):
        assert take.finish == "length"
        assert len(tokens_of(events, take.take)) >= 150
        alone = takes_of(
            tiny_room.generate(
                context=Context(text=WORDS, memory="Sea."),
                seed=1 + take.take,
                max_tokens=150,
                settings=settings,
            )
        )[0]
        assert alone.text == take.text


def test_a_slide_keeps_the_head_and_reads_the_rest_afresh(tiny_room: Room, tiny_tokens: Tokens) -> None:
    """Greedy decoding across a slide equals greedy decoding from the slid window."""
    settings = SamplerSettings(method="greedy", loop_guard=False, banned_tokens=(0,))
    began, *rest = tiny_room.generate(
        context=Context(text=WORDS, memory="Sea."), heal=False, max_tokens=40, settings=settings
    )
    assert isinstance(began, Began)
    ids = takes_of(rest)[0].ids
    room = 64 - len(began.ids)
    fixed = len(tiny_tokens.encode("Sea.\n"))
    window = [*began.ids, *ids[:room]]
    slid = (*window[:fixed], *window[fixed + 16 :], ids[room])  # the last was chosen before the slide
    again = tokens_of(tiny_room.generate(ids=slid, max_tokens=10, settings=settings))
    assert tuple(token.token for token in again) == ids[room + 1 : room + 11]


def test_a_negative_prompt_outlives_the_window_s_move(
    tiny_room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[list[int]] = []
    original = Lanes.slide

    def watched(lanes: Lanes, fixed: int, block: int, cancelled: Callable[[], bool] = lambda: False) -> None:
        original(lanes, fixed, block, cancelled)
        kept.append(lanes._sequences()[0])

    monkeypatch.setattr(Lanes, "slide", watched)
    settings = SamplerSettings(
        loop_guard=False, guidance_scale=2.0, negative_prompt="The door", banned_tokens=(0,)
    )
    tiny_room.generate("The sea", heal=False, max_tokens=150, settings=settings)
    tokens = tiny_room.core.opened.tokens
    unwanted = [tokens.eos, *tokens.encode("The door")]
    of_the_negative = [ids for ids in kept if ids[: len(unwanted)] == unwanted]
    assert len(of_the_negative) > 2
    assert len(kept) > len(of_the_negative)  # the page's own window moved as well


def test_stop_strings_end_a_take_and_are_no_part_of_it(tiny_room: Room) -> None:
    whole = takes_of(tiny_room.generate("The sea", max_tokens=40, settings=PLAIN))[0].text
    stop = whole[10:13]
    events = tiny_room.generate("The sea", stop=StopRules(max_tokens=40, stop=(stop,)), settings=PLAIN)
    take = takes_of(events)[0]
    assert take.finish == "stop"
    assert take.text == whole[: whole.index(stop)] == streamed(events)


def test_takes_end_with_a_sentence_when_asked(starter_room: Room) -> None:
    stop = StopRules(max_tokens=40, end_at_sentence=True)
    settings = SamplerSettings(temperature=0.8, top_k=50)
    events = starter_room.generate("The old man went home. He", takes=4, stop=stop, settings=settings)
    for take in takes_of(events):
        assert take.text.rstrip()[-1] in ".!?”\"'…" or take.finish == "eos"
        assert streamed(events, take.take).startswith(take.text)


def test_alternatives_are_the_likeliest_tokens(tiny_room: Room) -> None:
    events = tiny_room.generate("The sea", settings=GREEDY, alternatives=3, heal=False)
    for token in tokens_of(events):
        assert len(token.alternatives) == 3
        assert token.alternatives[0].token == token.token
        assert math.isclose(token.alternatives[0].logprob, token.logprob, abs_tol=1e-4)
        ranked = [alternative.logprob for alternative in token.alternatives]
        assert ranked == sorted(ranked, reverse=True)


def test_a_banned_phrase_is_gone_back_from(starter_room: Room) -> None:
    free = [
        takes_of(starter_room.generate("The king said", seed=seed, max_tokens=30))[0].text for seed in (1, 2)
    ]
    phrases = tuple(" ".join(text.split()[3:5]) for text in free)
    settings = SamplerSettings(banned_phrases=phrases, rewind_budget=500, loop_guard=False)
    events = starter_room.generate("The king said", takes=2, max_tokens=30, settings=settings)
    rewound = [event for event in events if isinstance(event, Rewound)]
    assert {event.take for event in rewound} == {0, 1}
    for take in takes_of(events):
        assert not any(phrase.lower() in take.text.lower() for phrase in phrases)
        assert streamed(events, take.take) == take.text
        alone = takes_of(
            starter_room.generate("The king said", seed=take.seed, max_tokens=30, settings=settings)
        )[0]
        assert alone.ids == take.ids


def test_loops_are_left_and_said(tiny_room: Room) -> None:
    bias = dict.fromkeys((70, 71), 50.0)
    settings = SamplerSettings(logit_bias=bias, rewind_budget=200, temperature=0.7)
    events = tiny_room.generate("The sea", takes=2, max_tokens=60, settings=settings)
    rewound = [event for event in events if isinstance(event, Rewound)]
    assert rewound
    assert "loop" in rewound[0].reason
    for take in takes_of(events):
        assert streamed(events, take.take) == take.text


def test_unused_ids_are_never_chosen(tmp_path: Path) -> None:
    room = Room(write_model(tmp_path, vocab_size=440))
    take = takes_of(room.generate("The sea", max_tokens=60, settings=SamplerSettings(temperature=5.0)))[0]
    assert max(take.ids) < 400


def cancelled_after(room: Room, count: int, take: int | None, **request: object) -> list[GenerateEvent]:
    signal = CancelSignal()
    events: list[GenerateEvent] = []
    asked = Generate(
        id="g",
        context=Context(text="The sea"),
        seed=1,
        stop=StopRules(max_tokens=30),
        settings=PLAIN,
        takes=3,
    )
    for event in room.core.generate(asked, signal):
        events.append(event)
        if sum(isinstance(event, Token) for event in events) == count:
            signal.cancel(take)
    return events


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_a_cancelled_request_ends_within_a_token(tiny_room: Room, count: int) -> None:
    events = cancelled_after(tiny_room, count, None)
    assert sum(isinstance(event, Token) for event in events) <= count + 3
    assert {take.finish for take in takes_of(events)} <= {"cancelled", "eos"}
    assert len(takes_of(events)) == 3
    done = events[-1]
    assert isinstance(done, Done)
    assert done.reason == "cancelled"


def test_a_cancelled_take_leaves_the_others_as_they_would_be(tiny_room: Room) -> None:
    whole = {take.take: take.text for take in takes_of(cancelled_after(tiny_room, -1, None))}
    events = cancelled_after(tiny_room, 7, 1)
    takes = takes_of(events)
    assert takes[1].finish == "cancelled"
    assert whole[1].startswith(takes[1].text)
    assert [takes[0].text, takes[2].text] == [whole[0], whole[2]]
    done = events[-1]
    assert isinstance(done, Done)
    assert done.reason == "finished"


def test_cancelled_before_it_began(tiny_room: Room) -> None:
    signal = CancelSignal()
    signal.cancel()
    events = tiny_room.generate("The sea " * 20, cancel=signal)
    assert [type(event) for event in events] == [Began, TakeDone, Done]
    assert takes_of(events)[0].finish == "cancelled"


def test_prepare_leaves_nothing_to_read(tiny_room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context(text=WORDS[:90])
    tiny_room.core.prepare(Prepare(id="p", context=context, max_tokens=12), CancelSignal())
    seen: list[int] = []
    original = Lanes.show

    def watched(lanes: Lanes, ids: Sequence[int], *rest: object) -> None:
        seen.append(len(ids) - lanes.reusable(ids))
        original(lanes, ids)

    monkeypatch.setattr(Lanes, "show", watched)
    tiny_room.generate(context=context, max_tokens=12)
    assert seen[0] == 0


def test_probe_tells_the_likeliest(tiny_room: Room) -> None:
    probed = tiny_room.core.probe(Probe(id="p", context=Context(text="The sea"), top=4))
    assert len(probed.alternatives) == 4
    greedy = takes_of(tiny_room.generate("The sea", heal=False, max_tokens=1, settings=GREEDY))[0]
    assert probed.alternatives[0].token == greedy.ids[0]
    after_space = tiny_room.core.probe(Probe(id="p", context=Context(text="The old "), top=4))
    assert all(not found.text.startswith(" ") for found in after_space.alternatives)


def test_guidance_and_its_neutral_scale(tiny_room: Room) -> None:
    plain = takes_of(tiny_room.generate("The sea", settings=PLAIN))[0]
    neutral = SamplerSettings(loop_guard=False, guidance_scale=1.0, negative_prompt="The door")
    assert takes_of(tiny_room.generate("The sea", settings=neutral))[0].ids == plain.ids
    strong = SamplerSettings(
        loop_guard=False, guidance_scale=3.0, negative_prompt="The door", banned_tokens=(0,)
    )
    events = tiny_room.generate("The sea", settings=strong, takes=2, max_tokens=80)
    guided = takes_of(events)
    assert guided[0].ids[: len(plain.ids)] != plain.ids
    alone = takes_of(tiny_room.generate("The sea", settings=strong, seed=2, max_tokens=80))[0]
    assert alone.ids == guided[1].ids


def test_guidance_is_the_pure_function_of_both_logits(tiny_room: Room, tiny_tokens: Tokens) -> None:
    from storyteller.engine.sampling import guidance

    model = tiny_room.core.opened
    lanes = Lanes(model.network, 0)
    ids = [0, *tiny_tokens.encode("The sea")]
    negative = [0, *tiny_tokens.encode("The door")]
    expected: list[int] = []
    for step in range(4):
        rows = []
        for prompt in (ids, negative):
            lanes.show([*prompt, *expected])
            rows.append(lanes.logits_after(len(prompt) + step, len(prompt) + step)[0].clone())
        expected.append(int(guidance(rows[0], rows[1], 2.0).argmax()))
    settings = SamplerSettings(
        method="greedy", guidance_scale=2.0, negative_prompt="The door", loop_guard=False
    )
    take = takes_of(tiny_room.generate("The sea", heal=False, max_tokens=4, settings=settings))[0]
    assert list(take.ids) == expected


@pytest.mark.parametrize("takes", [0, 17, -1])
def test_a_number_of_takes_that_makes_no_sense(tiny_room: Room, takes: int) -> None:
    with pytest.raises(UserError, match="ask for 1 to 16"):
        tiny_room.generate("The sea", takes=takes)


def test_no_model_is_open() -> None:
    with pytest.raises(EngineError, match="No model is open"):
        list(Core().generate(Generate(id="g"), CancelSignal()))


def test_a_seed_is_made_up_where_none_is_given(tiny_room: Room) -> None:
    began = [tiny_room.generate("The sea", seed=None)[0] for _ in range(2)]
    assert isinstance(began[0], Began)
    assert isinstance(began[1], Began)
    assert began[0].seeds != began[1].seeds
    again = [tiny_room.generate("The sea", seed=began[1].seeds[0]) for _ in range(2)]
    assert takes_of(again[0])[0].ids == takes_of(again[1])[0].ids


def test_contrast_without_an_adapter_changes_nothing(tiny_room: Room) -> None:
    settings = SamplerSettings(loop_guard=False, adapter_contrast=1.0)
    assert (
        takes_of(tiny_room.generate("The sea", settings=settings))[0].ids
        == takes_of(tiny_room.generate("The sea", settings=PLAIN))[0].ids
    )


def test_nothing_is_left_requiring_gradients(tiny_room: Room) -> None:
    model = tiny_room.core.opened
    assert not model.network.token_embedding.requires_grad
    assert torch.is_grad_enabled()
    tiny_room.generate("The sea")
    assert torch.is_grad_enabled()


def test_notices_belong_to_their_request(tiny_room: Room) -> None:
    settings = SamplerSettings(banned_tokens=tuple(range(400)))
    events = tiny_room.generate("The sea", settings=settings, heal=False)
    notices = [event for event in events if isinstance(event, Notice)]
    assert notices
    assert {notice.id for notice in notices} == {"g"}
    assert takes_of(events)[0].finish == "eos"
