"""Ids of version 7: their form, and their order whatever the clock does."""

from __future__ import annotations

import threading
import uuid

from hypothesis import given
from hypothesis import strategies as st

from storyteller.uuid7 import Uuid7Source, made_at, uuid7


def test_an_id_is_a_uuid_of_version_7_that_holds_the_time() -> None:
    made = uuid.UUID(Uuid7Source(lambda: 1_700_000_000_123)())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == 1_700_000_000_123


def test_an_id_tells_when_it_was_made_and_others_do_not() -> None:
    assert made_at(Uuid7Source(lambda: 1_700_000_000_123)()) == 1_700_000_000.123
    assert made_at(str(uuid.uuid4())) is made_at("take 7") is None


@given(st.lists(st.integers(0, 2**47), min_size=1, max_size=50))
def test_a_clock_that_jumps_never_turns_the_order(times: list[int]) -> None:
    clock = iter(times)
    source = Uuid7Source(lambda: next(clock))
    ids = [source() for _ in times]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_a_clock_that_stands_still_counts_on_into_the_next_millisecond() -> None:
    source = Uuid7Source(lambda: 5)
    ids = [source() for _ in range(10_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {uuid.UUID(made).int >> 80 for made in ids} == {5, 6, 7}
    assert {uuid.UUID(made).version for made in ids} == {7}


def test_threads_do_not_share_an_id() -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(uuid7() for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2000
