"""The log: what is written, what is refused, and that everything comes back as it went in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.feedback import rows
from storyteller.feedback.consent import EVERYTHING, Scope, refusals_in
from storyteller.feedback.history import read_history
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import AdapterUse, FeedbackEvent, GenerationRecord, Survival, TakeRecord
from tests.stubs.feedback_story import Story, agreed_log

if TYPE_CHECKING:
    from pathlib import Path

ANY_TEXT = st.text(st.characters(), max_size=40)


def generation(**changes: object) -> GenerationRecord:
    given_first: dict[str, object] = {"session": "s", "document": "/novel.md", "genre": "tales"}
    return GenerationRecord(**{**given_first, **changes})  # type: ignore[arg-type]  # fields by name


def count(log: FeedbackLog, table: str) -> int:
    with log.reading() as connection:
        assert connection is not None
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_everything_comes_back_as_it_went_in() -> None:
    log = agreed_log()
    record = generation(
        revision=3,
        cursor=17,
        model="gpt2-large",
        model_hash="beef",
        adapters=(AdapterUse("gothic", 1.25, "cafe"),),
        settings={
            "temperature": 0.8,
            "banned_phrases": ["a \ud800 b", "\x00"],
            "nested": {"k": [1, None, True]},
        },
        seed=2**64 - 1,
        prompt="It was\x00 a \udcff\ud83d night \U0001f600",
        prompt_ids=(0, 50256, 65535),
        prompt_truncated=True,
    )
    take = TakeRecord(
        generation=record.id,
        index=1,
        text="dark \x00\ud800",
        ids=(1, 2),
        logprob_sum=-3.5,
        logprob_mean=-1.75,
        finish="eos",
        seed=2**64,
        shown=True,
        shown_ms=812.5,
    )
    event = FeedbackEvent(
        generation=record.id, take=take.id, kind="edit_after", start=1, end=2, payload={"text": "\udfff new"}
    )
    look = Survival(take=take.id, horizon="30", length=6, kept=4, overlap=0.5, distance=0.25, now="d\ud800")
    assert log.generation(record)
    assert log.take(take)
    assert log.event(event)
    assert log.survival(look) == 1
    with log.reading() as connection:
        assert connection is not None
        (found,) = read_history(connection)
    assert found.record == record
    assert found.takes[0].record == take
    assert found.takes[0].events == [event]
    assert found.takes[0].survival == {"30": look}


@given(ANY_TEXT)
def test_any_text_survives_packing(text: str) -> None:
    assert rows.unpack_text(rows.pack_text(text)) == text
    assert rows.unpack_json(rows.pack_json({"a": [text, {text: text}]})) == {"a": [text, {text: text}]}


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_any_ids_survive_packing(ids: list[int]) -> None:
    packed, width = rows.pack_ids(ids)
    assert rows.unpack_ids(packed, width) == tuple(ids)
    assert width == (4 if max(ids, default=0) > 0xFFFF else 2)
    assert len(packed) == width * len(ids)


def test_ids_are_little_endian_shorts() -> None:
    assert rows.pack_ids([1, 0x0203]) == (b"\x01\x00\x03\x02", 2)


@pytest.mark.parametrize("ids", [[-1], [2**32]])
def test_ids_that_are_none_are_refused(ids: list[int]) -> None:
    with pytest.raises(ValueError, match="between 0 and"):
        rows.pack_ids(ids)


def test_numbers_json_does_not_know_become_null() -> None:
    assert rows.unpack_json(rows.pack_json([float("nan"), float("-inf"), 1.5])) == [None, None, 1.5]


def test_a_take_that_grows_is_one_row_and_its_time_on_screen_never_shrinks() -> None:
    log = agreed_log()
    record = generation()
    log.generation(record)
    take = TakeRecord(id="t", generation=record.id, index=0, text="He", shown=True, shown_ms=900)
    log.take(take)
    log.take(TakeRecord(id="t", generation=record.id, index=0, text="He ran.", finish="stop", shown_ms=100))
    with log.reading() as connection:
        assert connection is not None
        (found,) = read_history(connection)[0].takes
    assert (found.record.text, found.record.finish) == ("He ran.", "stop")
    assert (found.record.shown, found.record.shown_ms) == (True, 900)


def test_times_known_later_are_added() -> None:
    log = agreed_log()
    record = generation(prompt="kept")
    log.generation(record)
    log.generation(generation(id=record.id, prompt="not this", first_token_ms=80.0, total_ms=900.0))
    with log.reading() as connection:
        assert connection is not None
        (found,) = read_history(connection)
    assert (found.record.prompt, found.record.first_token_ms, found.record.total_ms) == ("kept", 80.0, 900.0)


def test_the_same_event_twice_is_one() -> None:
    log = agreed_log()
    story = Story(log)
    (take,) = story.offer("a take")
    event = story.does("accept", take)
    assert log.event(event)
    assert count(log, "event") == 1


def test_a_later_look_replaces_an_earlier_one_at_its_horizon() -> None:
    log = agreed_log()
    story = Story(log)
    (take,) = story.offer("a take of some length")
    story.stands(take, horizon="save")
    story.stands(take, "", horizon="save")
    story.stands(take, horizon="close")
    assert count(log, "survival") == 2


def test_what_hangs_on_nothing_is_not_written() -> None:
    log = agreed_log()
    story = Story(log)
    (take,) = story.offer("a take")
    (other,) = story.offer("another")
    assert not log.take(TakeRecord(generation="nowhere", index=0))
    assert not log.event(FeedbackEvent(generation="nowhere", kind="view"))
    assert not log.event(FeedbackEvent(generation=take.generation, take="nobody", kind="view"))
    assert not log.event(FeedbackEvent(generation=take.generation, take=other.id, kind="view"))
    assert log.survival(Survival(take="nobody", horizon="save")) == 0
    assert count(log, "event") == 0


# consent


def test_undecided_is_no() -> None:
    log = FeedbackLog()
    assert log.consent() is None
    assert not log.allows("/novel.md", "tales")
    assert not log.generation(generation())


def test_one_no_among_the_scopes_is_a_no() -> None:
    log = agreed_log()
    assert log.generation(generation())
    for scope in (Scope.of_genre("tales"), Scope.of_document("/novel.md")):
        log.set_consent(scope, on=False)
        assert not log.generation(generation())
        assert log.generation(generation(document="/other.md", genre="verse"))
        log.set_consent(scope, on=True)
        assert log.generation(generation())
    log.set_consent(EVERYTHING, on=False)
    assert log.consent(Scope.of_document("/novel.md")) is True
    assert not log.generation(generation())


def test_a_yes_for_one_document_is_a_yes_for_no_other() -> None:
    log = FeedbackLog()
    log.set_consent(Scope.of_document("/novel.md"), on=True)
    assert log.generation(generation())
    assert not log.generation(generation(document="/diary.md"))


def test_a_no_reaches_what_was_begun_under_a_yes() -> None:
    log = agreed_log()
    (take,) = Story(log).offer("a take")
    log.set_consent(EVERYTHING, on=False)
    assert not log.take(take)
    assert not log.event(FeedbackEvent(generation=take.generation, take=take.id, kind="accept"))
    assert log.survival(Survival(take=take.id, horizon="save")) == 0
    assert count(log, "event") == 0


def test_a_no_given_in_another_instance_counts_at_once() -> None:
    log, other = agreed_log(), FeedbackLog()
    assert log.generation(generation())
    other.set_consent(EVERYTHING, on=False)
    assert not log.generation(generation())


def test_a_no_before_there_is_a_library_is_kept_by_the_settings(home: Path) -> None:
    log = FeedbackLog()
    diary = Scope.of_document("/home/anna/diary.md")
    log.set_consent(EVERYTHING, on=False)
    log.set_consent(diary, on=False)
    assert log.consent() is False
    assert not home.exists()
    kept = log.refusals
    assert kept[0] == "all"
    assert kept[1].startswith("document:")
    assert "anna" not in kept[1]
    later = FeedbackLog(refusals=refusals_in("ask", kept[1:]))
    later.set_consent(EVERYTHING, on=True)
    assert later.generation(generation())
    assert not later.generation(generation(document="/home/anna/diary.md"))
    assert later.refusals == (diary.refusal,)
    assert FeedbackLog(refusals=refusals_in("no", ())).consent() is False


def test_a_library_deleted_while_it_is_open_is_gone_with_its_consent(home: Path) -> None:
    log = agreed_log()
    assert log.generation(generation())
    log.path.unlink()
    assert not log.generation(generation())
    assert log.consent() is None
    assert not log.path.exists()
