"""The cache's shortcuts against the plain way: every sequence read afresh from its first token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyteller.engine.network.cache import Branches, Trunk
from storyteller.engine.writing.lanes import Interrupted, Lanes, without_block
from tests.stubs.tiny_gpt2 import close, open_lanes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor


@pytest.fixture(scope="module")
def shared_lanes(tiny_model: Path) -> Lanes:
    return open_lanes(tiny_model)


@pytest.fixture
def lanes(shared_lanes: Lanes) -> Lanes:
    shared_lanes.show([399])  # another sequence: nothing of an earlier test is reused
    return shared_lanes


def afresh(lanes: Lanes, ids: Sequence[int]) -> Tensor:
    """Logits (vocab,) after `ids`, with an empty cache."""
    trunk = Trunk(lanes.network)
    return lanes.network.logits(trunk.extend(ids)[-1:])[0]


def numbers(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 399, (count,), generator=generator).tolist()


def test_only_the_changed_tail_is_read_again(lanes: Lanes, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = numbers(40)
    lanes.show(ids)
    edited = [*ids[:37], 5, 6]
    assert lanes.reusable(edited) == 37
    read: list[int] = []
    original = Trunk.extend

    def watched(trunk: Trunk, ids: Sequence[int]) -> Tensor:
        read.extend(ids)
        return original(trunk, ids)

    monkeypatch.setattr(Trunk, "extend", watched)
    lanes.show(edited)
    assert read == [5, 6]
    assert close(lanes.logits_after(39, 39)[0], afresh(lanes, edited))


def test_the_same_prompt_again_reads_nothing(lanes: Lanes, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = numbers(20)
    lanes.show(ids)
    lanes.split([20], 4)
    lanes.decode([7])
    expected = afresh(lanes, ids)
    monkeypatch.setattr(Trunk, "extend", lambda *_: pytest.fail("read again"))
    lanes.show(ids)
    assert close(lanes.logits_after(20, 20)[0], expected)


def test_lanes_decode_as_each_would_alone(lanes: Lanes) -> None:
    ids = numbers(20)
    lanes.show(ids)
    lanes.split([20, 20, 20], 8)
    said: list[list[int]] = [[], [], []]
    for step in range(5):
        tokens = [10 + step, 50 + step, 90 + step]
        logits = lanes.decode(tokens)
        for lane, token in enumerate(tokens):
            said[lane].append(token)
            assert close(logits[lane], afresh(lanes, [*ids, *said[lane]]))


def test_lanes_may_begin_and_go_back_at_different_lengths(lanes: Lanes) -> None:
    ids = numbers(20)
    lanes.show(ids)
    lanes.split([18, 20, 19], 8)
    held = [ids[:18], ids[:20], ids[:19]]
    for step in range(3):
        tokens = [30 + step, 60 + step, 90 + step]
        logits = lanes.decode(tokens)
        held = [[*own, token] for own, token in zip(held, tokens, strict=True)]
        for lane in range(3):
            assert close(logits[lane], afresh(lanes, held[lane]))
    lanes.drop(1, 2)
    held[1] = held[1][:-2]
    assert [lanes.length(lane) for lane in range(3)] == [len(own) for own in held]
    logits = lanes.decode([1, 2, 3])
    for lane in range(3):
        assert close(logits[lane], afresh(lanes, [*held[lane], lane + 1]))


def test_a_lane_may_go_back_into_what_all_share(lanes: Lanes) -> None:
    ids = numbers(12)
    lanes.show(ids)
    lanes.split([12, 12], 8)
    lanes.decode([1, 2])
    lanes.drop(0, 4)
    logits = lanes.decode([9, 3])
    assert close(logits[0], afresh(lanes, [*ids[:9], 9]))
    assert close(logits[1], afresh(lanes, [*ids, 2, 3]))


def test_a_retired_lane_leaves_the_others_alone_and_is_kept(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = numbers(10)
    lanes.show(ids)
    lanes.split([10, 10, 10], 8)
    lanes.decode([1, 2, 3])
    lanes.decode([4, 5, 6])
    lanes.retire(0)  # lane 2 takes its number
    logits = lanes.decode([7, 8])
    assert close(logits[0], afresh(lanes, [*ids, 3, 6, 7]))
    assert close(logits[1], afresh(lanes, [*ids, 2, 5, 8]))
    taken = [*ids, 1, 4]
    assert lanes.reusable(taken) == 12
    expected = afresh(lanes, taken)
    monkeypatch.setattr(Trunk, "extend", lambda *_: pytest.fail("read again"))
    lanes.show(taken)
    assert close(lanes.logits_after(12, 12)[0], expected)


@pytest.mark.parametrize("count", [1, 3])
def test_a_full_window_slides_by_a_block(lanes: Lanes, count: int) -> None:
    ids = numbers(60)
    lanes.show(ids)
    lanes.split([60] * count, 8)
    held = [list(ids) for _ in range(count)]
    for step in range(8):
        if max(map(lanes.length, range(count))) >= lanes.window:
            lanes.slide(3, 16)
            held = [[*own[:3], *own[19:]] for own in held]
        tokens = [1 + step + 20 * lane for lane in range(count)]
        logits = lanes.decode(tokens)
        for lane, token in enumerate(tokens):
            held[lane].append(token)
            assert close(logits[lane], afresh(lanes, held[lane]))
    assert len(held[0]) == 60 + 8 - 16


def test_reordered_lanes_are_copies_of_their_parents(lanes: Lanes) -> None:
    ids = numbers(10)
    lanes.prefill(ids, 3)
    lanes.decode([1, 2, 3])
    lanes.reorder([2, 2, 0])
    logits = lanes.decode([4, 5, 6])
    for lane, own in enumerate(([3, 4], [3, 5], [1, 6])):
        assert close(logits[lane], afresh(lanes, [*ids, *own]))
    assert lanes.hidden().shape == (3, 32)
    assert lanes.prompt_hidden().shape == (10, 32)


def test_a_long_prefill_stops_between_chunks_and_keeps_what_it_read(lanes: Lanes) -> None:
    lanes._chunk = 8
    asked = iter([False, False, True])
    try:
        with pytest.raises(Interrupted):
            lanes.show(numbers(40), lambda: next(asked))
        assert lanes.reusable(numbers(40)) == 16
    finally:
        lanes._chunk = 128


@pytest.mark.parametrize("count", [1, 2])
def test_a_slide_stops_when_it_is_cancelled_and_the_cache_goes_on(lanes: Lanes, count: int) -> None:
    ids = numbers(60)
    lanes.show(ids)
    lanes.split([60] * count, 8)
    lanes.decode([1, 2][:count])
    with pytest.raises(Interrupted):
        lanes.slide(0, 16, lambda: True)
    lanes.show(ids)
    assert close(lanes.logits_after(60, 60)[0], afresh(lanes, ids))


def test_a_slide_of_several_lanes_is_cancelled_as_soon_as_one_of_one(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    original = Branches.extend

    def watched(branches: Branches, tokens: Sequence[Sequence[int]]) -> Tensor:
        rows.append(sum(map(len, tokens)))
        return original(branches, tokens)

    ids = numbers(10)
    lanes.show(ids)
    lanes.split([10] * 4, 54)
    for step in range(50):
        lanes.decode([1 + step, 60 + step, 120 + step, 180 + step])
    monkeypatch.setattr(Branches, "extend", watched)
    monkeypatch.setattr(lanes, "_chunk", 16)
    asked: list[None] = []
    lanes.slide(0, 5, lambda: bool(asked.append(None)))  # type: ignore[func-returns-value]
    assert sum(rows) > 4 * 40
    assert max(rows) == 16
    assert len(asked) >= len(rows)


Step = st.one_of(
    st.tuples(st.just("show"), st.integers(1, 50), st.integers(0, 3)),
    st.tuples(st.just("split"), st.integers(1, 4), st.just(0)),
    st.tuples(st.just("decode"), st.integers(1, 300), st.just(0)),
    st.tuples(st.just("drop"), st.integers(0, 3), st.integers(1, 6)),
    st.tuples(st.just("retire"), st.integers(0, 3), st.just(0)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(Step, max_size=14))
def test_any_history_of_steps_gives_the_logits_of_a_fresh_cache(
    shared_lanes: Lanes, steps: list[tuple[str, int, int]]
) -> None:
    lanes = shared_lanes
    shown = numbers(5)
    lanes.show(shown)
    lanes.split([5], 1)
    held = [list(shown)]
    for step, first, second in steps:
        match step:
            case "show":
                shown = [*numbers(30)[: min(first, 30)], *numbers(first, seed=second)][:first]
                lanes.show(shown)
                lanes.split([first], 1)
                held = [list(shown)]
            case "split":
                lanes.show(shown)
                lengths = [max(1, len(shown) - lane) for lane in range(first)]
                lanes.split(lengths, 2)
                held = [shown[:length] for length in lengths]
            case "decode" if held:
                if max(map(len, held)) >= lanes.window:
                    lanes.slide(1, 16)
                    held = [without_block(own, 1, 16, lanes.window) for own in held]
                tokens = [first + lane for lane in range(len(held))]
                logits = lanes.decode(tokens)
                held = [[*own, token] for own, token in zip(held, tokens, strict=True)]
                for lane, own in enumerate(held):
                    assert close(logits[lane], afresh(lanes, own))
            case "drop" if first < len(held) and second < len(held[first]):
                lanes.drop(first, second)
                held[first] = held[first][:-second]
            case "retire" if first < len(held):
                lanes.retire(first)
                held[first] = held[-1]
                held.pop()
            case _:
                pass
        assert [lanes.length(lane) for lane in range(len(held))] == [len(own) for own in held]


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=80),
    st.integers(0, 10),
    st.integers(1, 16),
    st.integers(8, 64),
)
def test_a_slide_keeps_the_beginning_and_the_end(ids: list[int], fixed: int, block: int, window: int) -> None:
    fixed = min(fixed, len(ids) - 1, window - 2)
    kept = without_block(ids, fixed, block, window)
    assert len(kept) < window
    assert kept[:fixed] == ids[:fixed]
    rest = kept[fixed:]
    assert rest == ids[len(ids) - len(rest) :]
