"""Going on from inside a word, against every spelling counted out."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import torch

from storyteller.engine.presets import find_preset
from storyteller.engine.prompt.context import assemble
from storyteller.engine.prompt.healing import take_over_chances
from storyteller.engine.protocol import Began, Context, Notice, Rewound
from storyteller.engine.settings import SamplerSettings
from storyteller.text import writable_text
from tests.stubs.tiny_gpt2 import Room, open_lanes, takes_of, tokens_of

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.prompt.tokens import Tokens

PLAIN = SamplerSettings(loop_guard=False)


def test_chances_are_those_of_the_spellings(tiny_model: Path, tiny_tokens: Tokens) -> None:
    prompt = assemble(Context(text="the old lightho"), tiny_tokens, window=64, max_tokens=8)
    assert len(prompt.tail) > 1
    lanes = open_lanes(tiny_model)
    lanes.show((*prompt.ids, *prompt.tail))
    rows = lanes.logits_after(len(prompt.ids), len(prompt.ids) + len(prompt.tail) - 1)
    probabilities = torch.softmax(rows, -1)
    expected = []
    for place in range(len(prompt.tail)):
        rest = tiny_tokens.decode_bytes(prompt.tail[place:])
        spelt = math.prod(float(probabilities[at, prompt.tail[at]]) for at in range(place))
        expected.append(
            spelt
            * sum(
                float(probabilities[place, token])
                for token in range(tiny_tokens.vocab_size)
                if tiny_tokens.token_bytes(token).startswith(rest)
            )
        )
    chances = take_over_chances(rows, prompt.tail, tiny_tokens)
    assert torch.allclose(chances, torch.tensor(expected) / sum(expected), atol=1e-5)


def test_takes_take_over_as_often_as_the_model_means_to(tiny_room: Room, tiny_tokens: Tokens) -> None:
    events = []
    for seed in range(0, 480, 16):
        events += takes_of(
            tiny_room.generate("the old lightho", max_tokens=1, takes=16, seed=seed, settings=PLAIN)
        )
    prompt = assemble(Context(text="the old lightho"), tiny_tokens, window=64, max_tokens=8)
    lanes = tiny_room.core.opened.lanes("test", tiny_room.core.opened.network)
    lanes.show((*prompt.ids, *prompt.tail))
    rows = lanes.logits_after(len(prompt.ids), len(prompt.ids) + len(prompt.tail) - 1)
    chances = take_over_chances(rows, prompt.tail, tiny_tokens)
    lengths: Counter[int] = Counter()
    for take in events:
        common = 0
        while common < len(prompt.tail) - 1 and take.ids[: common + 1] == prompt.tail[: common + 1]:
            common += 1
        lengths[common] += 1
    for place, chance in enumerate(chances.tolist()):
        assert abs(lengths[place] / len(events) - chance) < 0.1, (place, lengths, chances)


def test_the_typed_letters_come_again_and_are_not_shown(tiny_room: Room, tiny_tokens: Tokens) -> None:
    for text in ("the old lightho", "the s", "Nobody answer", "the old sea."):
        events = tiny_room.generate(text, takes=8, settings=PLAIN)
        began = events[0]
        assert isinstance(began, Began)
        assert began.prompt == text
        for take in takes_of(events):
            whole = (tiny_tokens.decode_bytes(began.ids) + tiny_tokens.decode_bytes(take.ids)).decode(
                "utf-8", "replace"
            )
            assert whole.startswith(text)
            assert writable_text(whole[len(text) :]).startswith(take.text)
            assert "".join(token.text for token in tokens_of(events, take.take)) == take.text


def test_a_word_said_again_costs_none_of_the_length(starter_room: Room) -> None:
    for text in ("He went to the lightho", "the sea", "and Elen"):
        for take in takes_of(starter_room.generate(text, max_tokens=1, takes=8, settings=PLAIN)):
            assert take.text != ""


def test_a_word_is_gone_on_with_as_words_are(starter_room: Room) -> None:
    """ " an" is no beginning of " and", however likely a word it is."""
    events = starter_room.generate("She opened the door and", takes=16, max_tokens=3, settings=PLAIN)
    for take in takes_of(events):
        assert not take.text.startswith("ed")


def test_a_banned_word_may_be_left_behind_though_it_was_typed(starter_room: Room) -> None:
    settings = SamplerSettings(banned_phrases=("lighthouse",), loop_guard=False, rewind_budget=200)
    for text in ("He went to the lightho", "He went to the lighthous"):
        events = starter_room.generate(text, takes=4, max_tokens=8, settings=settings)
        began = events[0]
        assert isinstance(began, Began)
        for take in takes_of(events):
            said = starter_room.core.opened.tokens.decode((*began.ids, *take.ids))
            assert said.startswith(text[: len(said)])


@pytest.mark.parametrize(
    "harsh",
    [
        SamplerSettings(repetition_penalty=9.0, loop_guard=False),
        SamplerSettings(dry_multiplier=40.0, dry_allowed_length=1, loop_guard=False),
        SamplerSettings(no_repeat_ngram=2, loop_guard=False),
        SamplerSettings(banned_tokens=(0,), frequency_penalty=2.0, presence_penalty=2.0, loop_guard=False),
    ],
    ids=["repetition", "dry", "ngram", "presence"],
)
def test_a_word_that_may_be_whole_is_no_repetition(
    tiny_room: Room, tiny_tokens: Tokens, harsh: SamplerSettings
) -> None:
    """The writer said " light" twice, the take only says the second again: how often it goes on as " lighthouse" stays."""
    light = tiny_tokens.encode(" light")
    assert len(tiny_tokens.continuing(b" light")) > len(light) == 1
    found: dict[str, list[int]] = {}
    for name, settings in (("harsh", harsh), ("free", PLAIN)):
        takes = takes_of(
            tiny_room.generate(
                "Into the light. The old man, the light", takes=16, max_tokens=1, settings=settings
            )
        )
        found[name] = [take.ids[:1] == tuple(light) for take in takes]
    assert sum(found["harsh"]) >= sum(found["free"]) > 0


def test_a_sentence_typed_twice_keeps_its_full_stop(starter_room: Room) -> None:
    settings = find_preset("balanced").settings
    once = "The rain had not let up since the morning."
    events = starter_room.generate(f"{once} {once}", takes=16, max_tokens=2, settings=settings)
    stop = tuple(starter_room.core.opened.tokens.encode("."))
    assert sum(take.ids[:1] == stop for take in takes_of(events)) >= 12


def test_a_search_may_leave_the_last_word_as_it_is(starter_room: Room) -> None:
    settings = find_preset("beam").settings
    events = starter_room.generate(
        '"Come," he said. "Yes," he said.', takes=4, max_tokens=8, settings=settings
    )
    assert any(not take.text.startswith('"') for take in takes_of(events))


def test_a_search_goes_on_after_a_word_that_stood_there_before(tiny_room: Room) -> None:
    settings = SamplerSettings(method="beam", beams=2, no_repeat_ngram=2, banned_tokens=(0,))
    for take in takes_of(tiny_room.generate("the sea the sea", takes=2, max_tokens=4, settings=settings)):
        assert take.text


def test_a_page_that_repeats_itself_is_no_loop_of_the_take(starter_room: Room) -> None:
    chorus = "Oh the wind and the rain, and the sea comes in again, over stone and over sand, to the land."
    settings = SamplerSettings(top_k=1)
    events = starter_room.generate(f"\n{chorus}\n{chorus}", takes=2, max_tokens=4, settings=settings)
    (stop,) = starter_room.core.opened.tokens.encode(".")
    assert [tokens_of(events, take)[0].token for take in range(2)] == [stop, stop]


def test_a_banned_phrase_that_the_writer_typed_stays(starter_room: Room) -> None:
    settings = SamplerSettings(banned_phrases=("castle",), rewind_budget=8, loop_guard=False, top_k=1)
    events = starter_room.generate("They rode up to the castle", takes=4, max_tokens=1, settings=settings)
    assert not [event for event in events if isinstance(event, Rewound | Notice)]
