"""Beam and contrastive search through the engine: the pure searches' results, as takes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.protocol import Began, Context, Done, Generate, Notice, Token
from storyteller.engine.search import beam_search, contrastive_search
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.engine.writing.lanes import Lanes
from storyteller.engine.writing.searching import NO_PHRASES, NO_SECOND_OPINION, ONE_ANSWER
from tests.stubs.tiny_gpt2 import Room, takes_of, tokens_of

if TYPE_CHECKING:
    from storyteller.engine.protocol import TakeDone

BEAM = SamplerSettings(method="beam", beams=4, length_penalty=0.5)
CONTRASTIVE = SamplerSettings(method="contrastive", contrastive_k=4, contrastive_alpha=0.4)


def prompt_of(room: Room, text: str) -> tuple[int, ...]:
    began = room.generate(text, heal=False, max_tokens=0)[0]
    assert isinstance(began, Began)
    return began.ids


def test_takes_of_beam_search_are_its_best_continuations(starter_room: Room) -> None:
    takes = takes_of(starter_room.generate("The old man", heal=False, takes=3, max_tokens=10, settings=BEAM))
    lanes = Lanes(starter_room.core.opened.network, 0)
    best = list(
        beam_search(lanes, prompt_of(starter_room, "The old man"), beams=4, max_tokens=10, length_penalty=0.5)
    )
    assert [take.ids for take in takes] == [found.ids for found in best[:3]]
    assert [take.finish for take in takes] == [found.finish for found in best[:3]]


def test_more_takes_than_beams_are_more_beams(starter_room: Room) -> None:
    takes = takes_of(starter_room.generate("The old man", takes=6, max_tokens=6, settings=BEAM))
    assert len({take.text for take in takes}) == 6


def test_contrastive_search_is_the_pure_one(starter_room: Room) -> None:
    take = takes_of(starter_room.generate("The old man", heal=False, max_tokens=12, settings=CONTRASTIVE))[0]
    lanes = Lanes(starter_room.core.opened.network, 0)
    found = contrastive_search(lanes, prompt_of(starter_room, "The old man"), k=4, alpha=0.4, max_tokens=12)
    assert take.ids == tuple(choice.token for choice in itertools.islice(found, 12))


def test_contrastive_takes_say_the_same_and_it_is_said(starter_room: Room) -> None:
    events = starter_room.generate("The old man", takes=2, max_tokens=6, settings=CONTRASTIVE)
    assert [event.message for event in events if isinstance(event, Notice)] == [ONE_ANSWER]
    first, second = takes_of(events)
    assert first.text == second.text


@pytest.mark.parametrize("settings", [BEAM, CONTRASTIVE], ids=["beam", "contrastive"])
def test_an_unfinished_word_is_gone_on_with(starter_room: Room, settings: SamplerSettings) -> None:
    events = starter_room.generate("He went to the lightho", takes=2, max_tokens=4, settings=settings)
    began = events[0]
    assert isinstance(began, Began)
    for take in takes_of(events):
        assert starter_said(starter_room, began, take).startswith("He went to the lightho" + take.text)


def starter_said(room: Room, began: Began, take: TakeDone) -> str:
    return room.core.opened.tokens.decode((*began.ids, *take.ids))


@pytest.mark.parametrize("settings", [BEAM, CONTRASTIVE], ids=["beam", "contrastive"])
def test_stop_strings_end_a_search(starter_room: Room, settings: SamplerSettings) -> None:
    whole = takes_of(starter_room.generate("The old man", max_tokens=12, settings=settings))[0].text
    stop = whole[6:8]
    events = starter_room.generate(
        "The old man", stop=StopRules(max_tokens=12, stop=(stop,)), settings=settings
    )
    assert all(stop not in take.text for take in takes_of(events))


def test_the_sampler_settings_hold_in_a_search(starter_room: Room) -> None:
    free = takes_of(starter_room.generate("The old man", max_tokens=6, heal=False, settings=BEAM))[0]
    settings = SamplerSettings(method="beam", beams=4, banned_tokens=tuple(set(free.ids)))
    take = takes_of(starter_room.generate("The old man", max_tokens=6, heal=False, settings=settings))[0]
    assert not set(take.ids) & set(free.ids)


def test_a_second_opinion_is_left_out_and_it_is_said(starter_room: Room) -> None:
    settings = SamplerSettings(method="beam", beams=2, guidance_scale=2.0)
    events = starter_room.generate("The old man", max_tokens=3, settings=settings)
    assert [event.message for event in events if isinstance(event, Notice)] == [NO_SECOND_OPINION]


def test_a_search_says_that_it_does_not_see_to_phrases(tiny_room: Room) -> None:
    settings = SamplerSettings(method="beam", beams=2, banned_phrases=("the old",))
    events = tiny_room.generate("The sea", max_tokens=4, settings=settings)
    assert [event.message for event in events if isinstance(event, Notice)] == [NO_PHRASES]


@pytest.mark.parametrize("settings", [BEAM, CONTRASTIVE], ids=["beam", "contrastive"])
def test_a_search_can_be_cancelled(starter_room: Room, settings: SamplerSettings) -> None:
    signal = CancelSignal()
    request = Generate(
        id="g",
        context=Context(text="The old man"),
        stop=StopRules(max_tokens=400),
        settings=settings,
        takes=2,
    )
    events = []
    for event in starter_room.core.generate(request, signal):
        events.append(event)
        if settings.method == "beam" or isinstance(event, Token):
            signal.cancel()
    done = events[-1]
    assert isinstance(done, Done)
    assert done.reason == "cancelled"
    assert {take.finish for take in takes_of(events)} == {"cancelled"}
    assert len(tokens_of(events)) <= 2
