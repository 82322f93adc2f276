"""What events come to: the last word counts, slips and rushes do not, silence says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.feedback.history import TakeHistory
from storyteller.feedback.labels import Verdict, judge
from storyteller.feedback.records import FeedbackEvent, TakeRecord

if TYPE_CHECKING:
    from storyteller.feedback.records import Kind

TEXT = "She put on her coat, and went."  # 30 characters


def did(
    kind: Kind, at: float, span: tuple[int, int] = (0, 0), elapsed_ms: float = 5000, **payload: object
) -> FeedbackEvent:
    return FeedbackEvent(
        id=f"{kind}@{at:g}",
        monotonic=at,
        generation="g",
        take="t",
        kind=kind,
        start=span[0],
        end=span[1],
        elapsed_ms=elapsed_ms,
        payload=payload,
    )


def verdict(*events: FeedbackEvent) -> Verdict:
    take = TakeRecord(id="t", generation="g", index=0, text=TEXT, shown=True)
    return judge(TakeHistory(take, whole=True, events=list(events)))


def test_silence_is_no_label() -> None:
    assert verdict() == Verdict()
    assert verdict(did("view", 0), did("cycle", 1), did("dismiss", 2)) == Verdict()


def test_an_acceptance_without_a_span_is_of_everything() -> None:
    found = verdict(did("accept", 0))
    assert found.accepted == (0, 30)
    assert found.grounds == ("accept@0",)


def test_pieces_join_and_given_back_pieces_go() -> None:
    pieces = [
        did("accept_partial", 0, (0, 3)),
        did("accept_partial", 1, (3, 7)),
        did("accept_partial", 2, (7, 10)),
    ]
    assert verdict(*pieces).accepted == (0, 10)
    assert verdict(*pieces, did("unaccept", 3, (7, 10))).accepted == (0, 7)
    assert verdict(*pieces, did("unaccept", 3, (0, 10))) == Verdict()


def test_a_rest_refused_after_a_piece_was_taken_leaves_the_piece() -> None:
    found = verdict(did("accept_partial", 0, (0, 7)), did("reject", 5))
    assert (found.accepted, found.refused) == ((0, 7), None)


def test_a_span_beyond_the_text_ends_with_it() -> None:
    assert verdict(did("accept_partial", 0, (0, 900))).accepted == (0, 30)


def test_what_does_not_begin_at_the_beginning_has_no_prompt() -> None:
    assert verdict(did("accept_partial", 0, (10, 20))).accepted is None


@pytest.mark.parametrize(("kind", "label"), [("reject", "rejected"), ("retry", "retried")])
def test_a_refusal_stands_until_it_is_taken_back(kind: Kind, label: str) -> None:
    assert verdict(did(kind, 0)).refused == label
    assert verdict(did(kind, 0)).grounds == (f"{kind}@0",)
    found = verdict(did(kind, 0), did("accept", 60))
    assert (found.accepted, found.refused, found.grounds) == ((0, 30), None, ("accept@60",))


def test_accepted_and_undone_later_is_undone() -> None:
    found = verdict(did("accept", 0), did("undo_accept", 60))
    assert (found.accepted, found.refused, found.noise) == (None, "undone", 0)


def test_undone_within_ten_seconds_is_noise() -> None:
    found = verdict(did("accept", 0), did("undo_accept", 9.9))
    assert found == Verdict(noise=1)
    assert verdict(did("accept", 0), did("undo_accept", 10.0)).refused == "undone"


def test_an_undone_piece_leaves_the_others() -> None:
    found = verdict(
        did("accept_partial", 0, (0, 7)), did("accept_partial", 20, (7, 12)), did("undo_accept", 25, (7, 12))
    )
    assert (found.accepted, found.noise) == ((0, 7), 1)
    assert found.grounds == ("accept_partial@0",)


def test_accepted_sooner_than_one_can_read_is_noise() -> None:
    assert verdict(did("accept", 0, elapsed_ms=299)) == Verdict(noise=1)
    assert verdict(did("accept", 0, elapsed_ms=300)).accepted == (0, 30)
    assert verdict(did("accept", 0, elapsed_ms=100), did("undo_accept", 60)) == Verdict()


def test_a_first_word_in_a_rush_counts_with_what_was_read_and_taken_after_it() -> None:
    found = verdict(did("accept_partial", 0, (0, 3), elapsed_ms=100), did("accept_partial", 2, (3, 12)))
    assert (found.accepted, found.noise) == ((0, 12), 0)


def test_the_last_rating_counts() -> None:
    assert verdict(did("rate_up", 0), did("rate_down", 1)).rating == "down"
    assert verdict(did("rate_down", 0), did("rate_up", 1)).grounds == ("rate_up@1",)


def test_a_rating_against_the_act_is_a_contradiction() -> None:
    assert verdict(did("accept", 0), did("rate_down", 1)).contradictory
    assert verdict(did("reject", 0), did("rate_up", 1)).contradictory
    assert not verdict(did("accept", 0), did("rate_up", 1)).contradictory
    assert not verdict(did("reject", 0), did("rate_down", 1)).contradictory
    assert not verdict(did("rate_down", 1)).contradictory


def test_what_was_written_instead_is_known() -> None:
    found = verdict(did("dismiss", 0), did("edit_after", 5, text="He stayed."))
    assert (found.replacement, found.refused, found.grounds) == ("He stayed.", None, ("edit_after@5",))
    assert verdict(did("edit_after", 5, text=7)).replacement is None


KINDS = st.sampled_from(
    [
        "view",
        "accept",
        "accept_partial",
        "unaccept",
        "reject",
        "dismiss",
        "retry",
        "undo_accept",
        "rate_up",
        "rate_down",
    ]
)


@given(
    st.lists(
        st.tuples(
            KINDS, st.floats(0, 100), st.tuples(st.integers(0, 35), st.integers(0, 35)), st.floats(0, 900)
        )
    )
)
def test_any_events_come_to_a_sound_verdict_whatever_the_wall_clock_said(
    acts: list[tuple[Kind, float, tuple[int, int], float]],
) -> None:
    """safety 71"""
    events = [did(kind, at, span, elapsed) for kind, at, span, elapsed in acts]
    found = verdict(*events)
    if found.accepted is not None:
        assert found.accepted[0] == 0
        assert 0 < found.accepted[1] <= len(TEXT)
        assert found.refused is None
    assert set(found.grounds) <= {event.id for event in events}
    assert verdict(*events, *[]) == found
    # A wall clock that jumps about changes nothing: events carry another, and come in the order of commits.
    import msgspec

    skewed = [msgspec.structs.replace(event, ts=-event.ts * 7) for event in events]
    assert verdict(*skewed) == found
