"""The braid's lanes: what each holds, what would be kept, and what is said under it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.protocol import TakeDone
from storyteller.tui.lanes import Lane, Lanes, mean_probability

TEXT = " Then she put on her coat, and went."


def done(text: str, take: int = 0, logprobs: tuple[float, ...] = (-0.5, -1.5)) -> TakeDone:
    return TakeDone(
        id="g",
        take=take,
        text=text,
        ids=tuple(range(len(logprobs))),
        logprobs=logprobs,
        finish="stop",
        seed=1,
        seconds=1.0,
        first_token_s=0.1,
    )


def test_a_lane_keeps_all_of_a_growing_take_until_its_caret_moves() -> None:
    lane = Lane(1, "g", 0)
    lane.feed(" Then she")
    assert lane.kept == " Then she"
    lane.word_back()
    lane.feed(" put")
    assert (lane.kept, lane.rest) == (" Then", " she put")


def test_words_forward_come_to_the_end_and_follow_it_again() -> None:
    lane = Lane(1, "g", 0, text=TEXT)
    lane.word_back()
    assert lane.kept == " Then she put on her coat, and"
    lane.word_forward()
    assert lane.caret is None
    lane.feed(" Far.")
    assert lane.kept == TEXT + " Far."


@given(st.text(alphabet="ab ,.\n雨", max_size=40), st.integers(0, 12))
def test_a_word_forward_undoes_a_word_back(text: str, back: int) -> None:
    lane = Lane(1, "g", 0, text=text)
    for _ in range(back):
        lane.word_back()
    before = lane.kept
    lane.word_back()
    if before:
        assert len(lane.kept) < len(before)
        lane.word_forward()
    assert lane.kept == before


def test_a_rewind_behind_the_caret_brings_the_caret_to_the_end() -> None:
    lane = Lane(1, "g", 0, text=TEXT)
    lane.word_back()
    lane.rewind(20)
    assert lane.caret is None
    assert lane.kept == TEXT[:-20]


def test_the_end_of_a_take_is_the_authority_and_control_characters_never_enter() -> None:  # safety 44
    lane = Lane(1, "g", 0)
    lane.feed("a\x1b]0;x\x07b")
    assert lane.text == "a]0;xb"
    lane.finish(done("a\x1bb."))
    assert (lane.text, lane.streaming) == ("ab.", False)


def test_a_dropped_lane_keeps_the_others_numbers() -> None:
    lanes = Lanes.of("g", 3)
    lanes.move(1)
    assert lanes.drop().number == 2
    assert [lane.number for lane in lanes.lanes] == [1, 3]
    assert lanes.lane.number == 3
    assert lanes.streamed_by("g", 1) is None
    lanes.drop()
    with pytest.raises(ValueError, match="last lane"):
        lanes.drop()


def test_a_replaced_lane_streams_another_request() -> None:
    lanes = Lanes.of("g", 2)
    assert lanes.replace("h").generation == "g"
    assert lanes.streamed_by("g", 0) is None
    assert lanes.streamed_by("h", 0) is lanes.numbered(1)


def test_captions_say_how_likely_and_how_like() -> None:
    lanes = Lanes.of("g", 3)
    first, second, third = lanes.lanes
    assert lanes.caption(first) == "waiting"
    first.feed("She")
    assert lanes.caption(first) == "growing"
    first.finish(done(TEXT))
    second.finish(done(TEXT))
    third.finish(done(" Nothing of this kind had ever been said in Harrow."))
    assert lanes.caption(first) == f"{math.exp(-1):.2f} · new"
    assert lanes.caption(second).endswith("100% like take 1")
    assert lanes.caption(third).endswith("· new")
    third.trouble = "The engine stopped."
    assert lanes.caption(third) == "The engine stopped."


def test_the_probability_of_no_tokens_is_zero() -> None:
    assert mean_probability(()) == 0.0
