"""Guessing ahead changes the speed of a text and nothing else: every token, every event and every chance stays."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.protocol import Done, Notice, Rewound, TakeDone, Token
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.engine.writing.draft import Judgement
from storyteller.engine.writing.lanes import Lanes
from storyteller.engine.writing.speculation import Speculation
from tests.stubs.tiny_gpt2 import Room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storyteller.engine.protocol import GenerateEvent
    from storyteller.engine.writing.take import Take

SONG = "The sea, the old sea, and the old man. " * 3
SAMPLES = 1000
SETTINGS: dict[str, SamplerSettings] = {
    "greedy": SamplerSettings(temperature=0.0, loop_guard=False),
    "loops are left": SamplerSettings(temperature=0.0, rewind_budget=200),
    "chance": SamplerSettings(temperature=0.4, top_k=5, loop_guard=False),
    "penalties": SamplerSettings(temperature=0.7, repetition_penalty=1.2, dry_multiplier=0.8),
    "mirostat": SamplerSettings(mirostat_tau=0.5),
    "banned phrases": SamplerSettings(temperature=0.3, banned_phrases=("old", "the"), rewind_budget=100),
}


class Eager(Judgement):
    """A judge who always wants as many guesses as there may be."""

    def worth(self, size: int, most: int, lanes: int) -> int:
        return most


def told(room: Room, *, speculates: bool, must_guess: bool = True, **request: Any) -> list[GenerateEvent]:
    """What a request says, but for the seconds it took."""
    room.core.opened.speculates = speculates
    room.core.opened.judgement = Eager()
    events = room.generate(**request)
    if speculates and must_guess:
        assert room.core.opened.judgement.guessed > 0
    return [event for event in events if isinstance(event, Token | TakeDone | Rewound | Notice | Done)]


def words(events: list[GenerateEvent]) -> list[Any]:
    """The events of every take in order, without times; takes end at other moments when they are faster."""
    said: list[Any] = []
    for take in range(4):
        said += [
            (event.take, event.token, event.text, event.logprob)
            for event in events
            if isinstance(event, Token) and event.take == take
        ]
        said += [
            (event.take, event.text, event.ids, event.finish)
            for event in events
            if isinstance(event, TakeDone) and event.take == take
        ]
    said += [event for event in events if isinstance(event, Rewound | Notice)]
    return said


def assert_same(ours: list[GenerateEvent], theirs: list[GenerateEvent]) -> None:
    """Whether two requests said the same, with log-probabilities equal but for rounding."""
    for mine, other in zip(words(ours), words(theirs), strict=True):
        if isinstance(mine, tuple) and isinstance(mine[3], float):
            assert mine[:3] == other[:3]
            assert mine[3] == pytest.approx(other[3], abs=1e-4)
        else:
            assert mine == other


@pytest.fixture(params=["operators", "compiled step"])
def room(
    request: pytest.FixtureRequest, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Room:
    """A tiny model, in both forms."""
    if request.param == "compiled step":
        native = request.getfixturevalue("native")
        monkeypatch.setattr("storyteller.engine.writing.loaded.native_engine", lambda *_, **__: native)
    return Room(make_model(n_positions=256))


@pytest.mark.parametrize("takes", [1, 3])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_text_is_the_same(room: Room, settings: SamplerSettings, takes: int) -> None:
    asked: dict[str, Any] = {"text": SONG, "settings": settings, "takes": takes, "max_tokens": 60}
    with_guesses, without = (told(room, speculates=on, **asked) for on in (True, False))
    assert_same(with_guesses, without)


def test_stop_rules_end_a_take_within_a_guess(room: Room) -> None:
    asked: dict[str, Any] = {"text": SONG, "settings": SETTINGS["greedy"], "max_tokens": 60}
    (said,) = [event.text for event in told(room, speculates=True, **asked) if isinstance(event, TakeDone)]
    asked = {
        "text": SONG,
        "settings": SETTINGS["greedy"],
        "stop": StopRules(max_tokens=60, stop=(said[30:33],)),
    }
    ours = told(room, speculates=True, must_guess=False, **asked)
    assert_same(ours, told(room, speculates=False, **asked))


def test_an_unfinished_word_is_finished_the_same(room: Room) -> None:
    asked: dict[str, Any] = {"text": f"{SONG}The ol", "settings": SETTINGS["greedy"], "max_tokens": 60}
    assert_same(told(room, speculates=True, **asked), told(room, speculates=False, **asked))


def test_a_window_that_slides(room: Room) -> None:
    asked: dict[str, Any] = {"text": SONG * 4, "settings": SETTINGS["greedy"], "max_tokens": 250}
    assert_same(told(room, speculates=True, **asked), told(room, speculates=False, **asked))


def test_what_was_guessed_wrong_is_not_in_the_cache(room: Room) -> None:
    asked: dict[str, Any] = {"text": SONG, "settings": SETTINGS["chance"], "max_tokens": 40}
    first = words(told(room, speculates=True, **asked))
    again = words(told(room, speculates=False, **asked))  # served from the cache of the first
    assert [entry[:3] for entry in first] == [entry[:3] for entry in again]


def test_takes_that_must_differ_do_not_guess(room: Room) -> None:
    room.core.opened.judgement = Eager()
    room.generate(text=SONG, takes=2, settings=SamplerSettings(diversity=1.0), max_tokens=20)
    assert room.core.opened.judgement.guessed == 0


def test_a_second_opinion_goes_without_guesses(room: Room) -> None:
    room.core.opened.judgement = Eager()
    room.generate(
        text=SONG, settings=SamplerSettings(guidance_scale=1.5, negative_prompt="sea"), max_tokens=20
    )
    assert room.core.opened.judgement.guessed == 0


def test_every_text_is_as_likely_as_the_model_says(make_model: Callable[..., Path]) -> None:
    room = Room(make_model(n_positions=256))
    room.core.opened.judgement = Eager()
    allowed, vocabulary = (5, 6, 7), room.core.opened.config.vocab_size
    settings = SamplerSettings(
        temperature=3.0,
        banned_tokens=tuple(token for token in range(vocabulary) if token not in allowed),
        loop_guard=False,
    )
    prompt = (0, *random.Random(6).choices(allowed, k=40))  # every pair is in it, so that all is guessed
    asked: dict[str, Any] = {"ids": prompt, "takes": 4, "settings": settings, "max_tokens": 5}
    counts = Counter(
        take.ids[:3]
        for seed in range(0, SAMPLES, 4)
        for take in room.generate(**asked, seed=seed)
        if isinstance(take, TakeDone)
    )
    judgement = room.core.opened.judgement
    assert judgement.guessed / 8 < judgement.right < judgement.guessed * 7 / 8
    expected = {
        ids: SAMPLES * likelihood(room, prompt, ids, allowed, settings.temperature)
        for ids in product(allowed, repeat=3)
    }
    common = [ids for ids in expected if expected[ids] >= 5.0]
    pairs = [(counts[ids], expected[ids]) for ids in common]
    rest = SAMPLES - sum(due for _, due in pairs)
    if rest >= 5.0:
        pairs.append((SAMPLES - sum(seen for seen, _ in pairs), rest))
    distance = sum((seen - due) ** 2 / due for seen, due in pairs)
    degrees = len(pairs) - 1
    assert degrees > 8
    assert distance < degrees + 3.1 * math.sqrt(
        2 * degrees
    )  # a fair sampler passes, but for one in a thousand or so


def likelihood(
    room: Room, prompt: tuple[int, ...], ids: tuple[int, ...], allowed: tuple[int, ...], temperature: float
) -> float:
    """The chance of `ids` after `prompt` where only `allowed` tokens may come, from the network alone."""
    lanes = Lanes(room.core.opened.network, 0)
    lanes.show((*prompt, *ids))
    rows = lanes.logits_after(len(prompt), len(prompt) + len(ids) - 1)[:, list(allowed)] / temperature
    chances = rows.double().softmax(-1)
    return math.prod(float(chances[place, allowed.index(token)]) for place, token in enumerate(ids))


def test_it_can_be_switched_off(tiny_model: Path) -> None:
    room = Room(tiny_model, speculate=False)
    room.core.opened.judgement = Eager()
    room.generate(text=SONG, settings=SETTINGS["greedy"], max_tokens=20)
    assert room.core.opened.judgement.guessed == 0


def test_a_cancelled_request_ends(room: Room) -> None:
    signal = CancelSignal()
    signal.cancel()
    events = room.generate(text=SONG, settings=SETTINGS["greedy"], cancel=signal, max_tokens=20)
    assert isinstance(events[-1], Done)
    assert events[-1].reason == "cancelled"


def test_time_is_taken_by_the_clock_that_is_given() -> None:
    moments = iter([0.0, 1.0, *[10.0, 11.3] * 9])
    take = SimpleNamespace(index=0, ids=[7])
    speculation = Speculation([1, 2, 3], Judgement(), clock=lambda: next(moments))
    alone: list[tuple[int, ...]] = [()]
    guessed: list[tuple[int, ...]] = [(4, 5)]
    for guesses in (alone, *[guessed] * 9):
        assert speculation.guesses([cast("Take", take)], [5]) == [()]
        speculation.passed(guesses)
    assert speculation.judgement.cost(1) == pytest.approx(0.15)
