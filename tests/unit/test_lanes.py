"""The braid's lanes: what each holds, what would be kept, and what is said under it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.protocol import TakeDone
from storyteller.engine.settings import SamplerSettings
from storyteller.manuscript.offer import Offer
from storyteller.tui.lanes import Lane, Lanes, mean_probability
from storyteller.tui.live import LiveTake

TEXT = " Then she put on her coat, and went."


def take(text: str = "", index: int = 0) -> LiveTake:
    return LiveTake("g", index, Offer("r", index, text=text), anchor=3, settings=SamplerSettings())


def lanes_of(count: int) -> Lanes:
    return Lanes.of(take(index=index) for index in range(count))


def finish(lane: Lane, text: str, logprobs: tuple[float, ...] = (-0.5, -1.5)) -> None:
    done = TakeDone(
        id="r",
        take=lane.take.index,
        text=text,
        ids=tuple(range(len(logprobs))),
        logprobs=logprobs,
        finish="stop",
        seed=1,
        seconds=1.0,
        first_token_s=0.1,
    )
    lane.take.offer.finish(done.text)
    lane.take.end(done)


def test_a_lane_keeps_all_of_a_growing_take_until_its_caret_moves() -> None:
    lane = Lane(1, take())
    lane.word_back()
    lane.take.offer.feed(" Then she")
    assert (lane.kept, lane.caret) == (" Then she", None)
    lane.word_back()
    lane.take.offer.feed(" put")
    assert (lane.kept, lane.rest) == (" Then", " she put")


def test_words_forward_come_to_the_end_and_follow_it_again() -> None:
    lane = Lane(1, take(TEXT))
    lane.word_back()
    assert lane.kept == " Then she put on her coat, and"
    lane.word_forward()
    assert lane.caret is None
    lane.take.offer.feed(" Far.")
    assert lane.kept == TEXT + " Far."
    lane.word_back()
    lane.keep_all()
    assert lane.rest == ""


@given(st.text(alphabet="ab ,.\n雨", max_size=40), st.integers(0, 12))
def test_a_word_forward_undoes_a_word_back(text: str, back: int) -> None:
    lane = Lane(1, take(text))
    for _ in range(back):
        lane.word_back()
    before = lane.kept
    lane.word_back()
    if before:
        assert len(lane.kept) < len(before)
        lane.word_forward()
    assert lane.kept == before


@given(st.text(alphabet="ab ,.\n雨", min_size=1, max_size=40), st.data())
def test_keeping_through_a_place_keeps_its_word_and_nothing_after_it(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text) - 1))
    lane = Lane(1, take(text))
    lane.keep_through(offset)
    assert len(lane.kept) > offset
    lane.word_back()
    assert len(lane.kept) <= offset


def test_a_rewind_behind_the_caret_brings_the_caret_to_the_end() -> None:
    lane = Lane(1, take(TEXT))
    lane.word_back()
    lane.take.offer.rewind(20)
    assert (lane.caret, lane.kept) == (None, TEXT[:-20])
    lane.take.offer.feed(" something else altogether, for a long while")
    assert lane.caret is None


def test_the_end_of_a_take_is_the_authority_and_control_characters_never_enter() -> None:  # safety 44
    lane = Lane(1, take())
    lane.take.offer.feed("a\x1b]0;x\x07b")
    assert lane.text == "a]0;xb"
    finish(lane, "a\x1bb.")
    assert (lane.text, lane.streaming) == ("ab.", False)


def test_a_dropped_lane_keeps_the_others_numbers_and_a_new_one_takes_what_is_free() -> None:
    lanes = lanes_of(3)
    lanes.move(1)
    assert lanes.drop().number == 2
    assert [lane.number for lane in lanes.lanes] == [1, 3]
    assert lanes.lane.number == 3
    assert lanes.numbered(2) is None
    added = lanes.add(take())
    assert ([lane.number for lane in lanes.lanes], lanes.lane) == ([1, 2, 3], added)
    lanes.drop()
    lanes.drop()
    with pytest.raises(ValueError, match="last lane"):
        lanes.drop()


def test_there_are_six_lanes_at_most() -> None:
    lanes = lanes_of(6)
    with pytest.raises(ValueError, match="6 lanes"):
        lanes.add(take())


def test_arrows_go_round_and_a_click_goes_there() -> None:
    lanes = lanes_of(3)
    lanes.move(-1)
    assert lanes.lane.number == 3
    lanes.move(1)
    assert lanes.lane.number == 1
    lanes.move_to(lanes.lanes[1])
    assert lanes.lane.number == 2


def test_another_take_comes_into_a_lane() -> None:
    lanes = lanes_of(2)
    lane, old, new = lanes.lane, lanes.lane.take, take(TEXT)
    lane.word_back()
    assert lane.renew(new) is old
    assert (lane.number, lane.kept) == (1, TEXT)


def test_captions_say_how_likely_and_how_like() -> None:
    lanes = lanes_of(3)
    first, second, third = lanes.lanes
    assert lanes.caption(first) == "waiting"
    first.take.offer.feed("She")
    assert lanes.caption(first) == "growing"
    finish(first, TEXT)
    finish(second, TEXT)
    finish(third, " Nothing of this kind had ever been said in Harrow.")
    assert lanes.caption(first) == f"{math.exp(-1):.2f} · new"
    assert lanes.caption(second).endswith("· 100 % like take 1")
    assert lanes.caption(third).endswith("· new")
    finish(third, "", ())
    assert lanes.caption(third) == "nothing came"


def test_a_take_cut_off_before_its_end_has_no_probability() -> None:
    lanes = lanes_of(2)
    lanes.lane.take.offer.feed("She")
    lanes.lane.take.finish = "cancelled"
    assert lanes.caption(lanes.lane) == "stopped · new"


def test_the_probability_of_no_tokens_is_zero() -> None:
    assert mean_probability(()) == 0.0
