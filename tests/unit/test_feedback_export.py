"""Data sets: every rule with a row it lets through and one it stops; the bytes against golden files."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyteller import paths
from storyteller.errors import UserError
from storyteller.feedback.consent import EVERYTHING, Scope
from storyteller.feedback.datasets import TooLittleFeedback, export, export_text, prepare
from storyteller.feedback.export import missing
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import TakeRecord
from storyteller.feedback.rows import name_hash
from tests.stubs.feedback_story import Story, agreed_log, numbered

if TYPE_CHECKING:
    from storyteller.feedback.export import DataKind, DataSet

GOLDEN = Path(__file__).parent / "golden"
LEFT = "The harbour lay grey under the first snow."
RIGHT = "My uncle collected clocks; none agreed."
THIRD = "Nobody answered when she knocked again."


@pytest.fixture
def story() -> Story:
    return Story(agreed_log())


def lines(dataset: DataSet) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dataset.data.decode().split("\n") if line]


def exported(story: Story, kind: DataKind, **options: Any) -> list[dict[str, Any]]:
    return lines(prepare(story.log, kind, **options))


def dropped(story: Story, kind: DataKind) -> dict[str, int]:
    return prepare(story.log, kind).dropped


# accepted spans


def test_a_span_that_stands_is_a_row_with_the_ids_that_were_sampled(story: Story) -> None:
    take = story.kept(LEFT, prompt="It began so: ")
    (row,) = exported(story, "sft")
    assert row["id"] == take.id
    assert (row["prompt"], row["prompt_ids"]) == ("It began so: ", list(map(ord, "It began so: ")))
    assert (row["completion"], row["completion_ids"]) == (LEFT, list(take.ids))
    assert (row["eos"], row["source"], row["horizon"]) == (False, "accepted", "save")
    assert (row["genre"], row["model"], row["model_hash"]) == ("tales", "starter", "abc123")
    assert "anna" not in row["document"]


def test_an_end_of_text_only_where_the_piece_ended_and_all_of_it_stands(story: Story) -> None:
    (whole,) = story.offer(LEFT)
    story.log.take(
        TakeRecord(id=whole.id, generation=whole.generation, index=0, text=LEFT, finish="eos", shown=True)
    )
    story.does("accept", whole)
    story.stands(whole)
    (part,) = story.offer(RIGHT)
    story.log.take(
        TakeRecord(id=part.id, generation=part.generation, index=0, text=RIGHT, finish="eos", shown=True)
    )
    story.does("accept_partial", part, (0, 8))
    story.stands(part, accepted=RIGHT[:8])
    assert [(row["completion"], row["eos"]) for row in exported(story, "sft")] == [
        (LEFT, True),
        (RIGHT[:8], False),
    ]


def test_an_edited_span_is_taught_as_it_stands_and_has_no_ids(story: Story) -> None:
    (take,) = story.offer(LEFT)
    story.does("accept", take)
    story.stands(take, LEFT.replace("grey", "white"))
    (row,) = exported(story, "sft")
    assert (row["completion"], row["source"]) == (LEFT.replace("grey", "white"), "edited")
    assert row["completion_ids"] is None


def test_the_save_is_asked_first_and_early_looks_not_at_all(story: Story) -> None:
    (early,) = story.offer(LEFT)
    story.does("accept", early)
    story.stands(early, horizon="15")
    story.stands(early, horizon="30")
    (late,) = story.offer(RIGHT)
    story.does("accept", late)
    story.stands(late, horizon="600")
    story.stands(late, RIGHT + "!", horizon="save")
    assert [row["completion"] for row in exported(story, "sft")] == [RIGHT + "!"]
    assert dropped(story, "sft") == {"what became of it is not known": 1}


def test_a_look_at_a_shorter_span_says_nothing_about_the_longer(story: Story) -> None:
    (take,) = story.offer(LEFT)
    story.does("accept_partial", take, (0, 11))
    story.stands(take, accepted=LEFT[:11])
    story.does("accept_partial", take, (11, 20))
    assert exported(story, "sft") == []


def test_what_was_rewritten_undone_rushed_or_rated_down_is_not_taught(story: Story) -> None:
    (rewritten,) = story.offer(LEFT)
    story.does("accept", rewritten)
    story.stands(rewritten, "Something else entirely stood there by then.")
    (undone,) = story.offer(RIGHT)
    story.does("accept", undone)
    story.stands(undone)
    story.does("undo_accept", undone)
    (rushed,) = story.offer(THIRD)
    story.does("accept", rushed, elapsed_ms=120)
    story.stands(rushed)
    disliked = story.kept("He counted the steps to the cellar door.")
    story.does("rate_down", disliked)
    assert exported(story, "sft") == []
    assert dropped(story, "sft") == {"contradictory": 1, "did not survive": 1, "rushed, or undone at once": 1}


# pairs


def pair(story: Story, **more: Any) -> list[TakeRecord]:
    takes = story.offer(LEFT, RIGHT, **more)
    story.does("accept", takes[0])
    return takes


def test_what_was_accepted_wins_against_its_siblings(story: Story) -> None:
    takes = pair(story)
    (row,) = exported(story, "preference")
    assert row["id"] == [takes[0].id, takes[1].id]
    assert (row["chosen"], row["rejected"], row["chosen_source"]) == (LEFT, RIGHT, "accepted")
    assert (row["chosen_ids"], row["rejected_ids"]) == (list(takes[0].ids), list(takes[1].ids))


def test_never_across_generations(story: Story) -> None:
    story.kept(LEFT)
    story.offer(RIGHT)
    assert exported(story, "preference") == []


def test_a_sibling_barely_seen_or_accepted_as_well_is_no_loser(story: Story) -> None:
    pair(story, shown_ms=499)
    pair(story, shown_ms=0, prompt="Then")
    both = pair(story, prompt="At last")
    story.does("accept", both[1])
    assert exported(story, "preference") == []
    assert dropped(story, "preference") == {"accepted as well": 2, "shown too briefly": 2}


def test_near_equals_and_unequal_lengths_are_no_pairs(story: Story) -> None:
    takes = story.offer(LEFT, LEFT.replace("grey", "gray"), LEFT * 2 + "x", LEFT[:20])
    story.does("accept", takes[0])
    assert exported(story, "preference") == []
    assert dropped(story, "preference") == {"lengths beyond 1:2": 2, "nearly equal": 1}


def test_what_the_writer_wrote_instead_wins_against_everything_seen(story: Story) -> None:
    takes = story.offer(LEFT, RIGHT)
    story.does("reject", takes[0])
    story.does("edit_after", takes[0], text=THIRD)
    rewritten = story.offer(RIGHT + " So he left.", prompt="Later")
    story.does("accept", rewritten[0])
    story.stands(rewritten[0], "The ferry had gone an hour before they came.")
    rows = exported(story, "preference")
    assert [(row["chosen"], row["rejected"], row["chosen_source"]) for row in rows] == [
        (THIRD, LEFT, "typed"),
        (THIRD, RIGHT, "typed"),
        ("The ferry had gone an hour before they came.", RIGHT + " So he left.", "typed"),
    ]
    assert [row["chosen_ids"] for row in rows] == [None] * 3


def test_at_most_three_pairs_a_prompt(story: Story) -> None:
    texts = [
        f"{number} {word} walked down to the river alone." for number, word in enumerate(["Anna", "Otto"])
    ]
    different = [
        THIRD,
        RIGHT,
        texts[0],
        "What the letter said he never told us.",
        "Rain, and a smell of tin.",
    ]
    takes = story.offer(LEFT, *different)
    story.does("accept", takes[0])
    rows = exported(story, "preference")
    assert [row["rejected"] for row in rows] == different[:3]
    assert prepare(story.log, "preference").counts["prompts"] == 1


def test_the_same_pair_decided_both_ways_teaches_nothing(story: Story) -> None:
    pair(story)
    turned = story.offer(LEFT, RIGHT)
    story.does("accept", turned[1])
    pair(story, prompt="Elsewhere")
    pair(story, prompt="Elsewhere")
    assert [row["prompt"] for row in exported(story, "preference")] == ["Elsewhere"]
    assert dropped(story, "preference") == {"contradictory": 2, "duplicate": 1}


# judgements


def test_wanted_is_accepted_and_alive_after_two_minutes(story: Story) -> None:
    (alive,) = story.offer(LEFT)
    story.does("accept", alive)
    story.stands(alive, horizon="15", elapsed_s=15)
    story.stands(alive, horizon="120", elapsed_s=121)
    (young,) = story.offer(RIGHT)
    story.does("accept", young)
    story.stands(young, horizon="save", elapsed_s=119)
    (gone,) = story.offer(THIRD)
    story.does("accept", gone)
    story.stands(gone, horizon="120", elapsed_s=121)
    story.stands(gone, "", horizon="save", elapsed_s=500)
    (row,) = exported(story, "unpaired")
    assert (row["completion"], row["label"], row["reason"]) == (LEFT, True, "accepted")
    assert dropped(story, "unpaired") == {"not seen alive after 120 s": 2}


def test_unwanted_is_refused_undone_retried_or_rated_down_and_seen(story: Story) -> None:
    for number, kind in enumerate(("reject", "retry", "rate_down")):
        (take,) = story.offer(f"{LEFT} {number}")
        story.does(kind, take)  # type: ignore[arg-type]  # three kinds of event
    (undone,) = story.offer(RIGHT)
    story.does("accept", undone)
    story.does("undo_accept", undone)
    (unseen,) = story.offer(THIRD, shown_ms=0)
    story.does("reject", unseen)
    (silent, dismissed) = story.offer("Silence.", "A dismissal is not a rejection.")
    story.does("view", silent)
    story.does("dismiss", dismissed)
    rows = exported(story, "unpaired")
    assert [row["reason"] for row in rows] == ["rejected", "retried", "rated down", "undone"]
    assert {row["label"] for row in rows} == {False}
    assert dropped(story, "unpaired") == {"was not seen": 1}


def test_the_same_text_wanted_and_unwanted_is_neither(story: Story) -> None:
    story.kept(LEFT)
    (refused,) = story.offer(LEFT)
    story.does("reject", refused)
    assert exported(story, "unpaired") == []
    assert dropped(story, "unpaired") == {"contradictory": 2}


# choosing, minimums, files


def test_a_row_said_twice_is_one(story: Story) -> None:
    story.kept(LEFT)
    story.kept(LEFT)
    assert len(exported(story, "sft")) == 1
    assert dropped(story, "sft") == {"duplicate": 1}


def test_only_one_genre(story: Story) -> None:
    story.kept(LEFT, genre="tales")
    story.kept(RIGHT, genre="verse")
    assert [row["completion"] for row in exported(story, "sft", genre="verse")] == [RIGHT]


def test_what_one_no_longer_agrees_to_is_not_taught(story: Story) -> None:
    story.kept(LEFT, document="/diary.md")
    story.kept(RIGHT, document="/novel.md")
    story.kept(THIRD, genre="letters")
    story.log.set_consent(Scope.of_document("/diary.md"), on=False)
    story.log.set_consent(Scope.of_genre("letters"), on=False)
    assert [row["completion"] for row in exported(story, "sft")] == [RIGHT]
    assert dropped(story, "sft") == {"consent withdrawn": 2}
    assert prepare(FeedbackLog(refusals=["all"]), "sft").size == 0


def test_a_text_too_long_to_keep_is_not_taught(story: Story) -> None:
    story.kept("x" * 1_000_001)
    assert exported(story, "sft") == []
    assert dropped(story, "sft") == {"redacted or cut": 1}


def test_lone_surrogates_are_replaced_and_lines_stay_lines(story: Story) -> None:
    story.kept("a\ud800b\u2028c\x85d\ne\x00")
    (row,) = exported(story, "sft")
    assert row["completion"] == "a\ufffdb\u2028c\x85d\ne\x00"
    assert prepare(story.log, "sft").data.count(b"\n") == 1


def test_documents_are_held_out_for_good_and_the_first_never_is(story: Story) -> None:
    """safety 71"""
    for number in range(60):
        story.kept(f"{LEFT} {number}", document=f"/books/{number}.md")
    train, evaluation = prepare(story.log, "sft"), prepare(story.log, "sft", holdout=True)
    sides = [{row["document"] for row in lines(dataset)} for dataset in (train, evaluation)]
    assert sides[0].isdisjoint(sides[1])
    assert len(sides[0]) + len(sides[1]) == 60
    assert 1 <= len(sides[1]) <= 15
    assert train.counts["held_out"] == len(sides[1])
    assert Scope.of_document("/books/0.md").name in sides[0]
    for number in range(60, 90):
        story.kept(f"{LEFT} {number}", document=f"/books/{number}.md")
    later = {row["document"] for row in exported(story, "sft", holdout=True)}
    assert later & (sides[0] | sides[1]) == sides[1]


def test_training_never_says_what_the_evaluation_says(story: Story) -> None:
    """safety 71"""
    held_out = next(
        name
        for name in (f"/copies/{n}.md" for n in range(1000))
        if int(name_hash(name_hash(name)), 16) % 10 == 0
    )
    story.kept(RIGHT, document="/first.md")
    story.kept(LEFT, document=held_out)
    story.kept(LEFT, document="/first.md", prompt="A copy, elsewhere: ")
    assert [row["completion"] for row in exported(story, "sft")] == [RIGHT]
    assert [row["completion"] for row in exported(story, "sft", holdout=True)] == [LEFT]
    assert dropped(story, "sft") == {"also in a held-out document": 1, "held out": 1}


def test_the_minimums() -> None:
    counts = dict.fromkeys(["rows", "prompts", "wanted", "unwanted"], 0)
    assert missing("sft", {**counts, "rows": 49}) == ("49 of 50 accepted spans that survived",)
    assert missing("sft", {**counts, "rows": 50}) == ()
    assert missing("preference", {**counts, "rows": 200, "prompts": 49}) == ("49 of 50 prompts with a pair",)
    assert missing("preference", {**counts, "rows": 200, "prompts": 50}) == ()
    assert missing("unpaired", {**counts, "rows": 100, "wanted": 81, "unwanted": 19}) == (
        "19 of 20 rejected, retried, undone or rated down",
    )
    assert missing("unpaired", {**counts, "rows": 100, "wanted": 80, "unwanted": 20}) == ()
    assert missing("sft", counts, holdout=True) == ("0 of 1 held-out rows",)


def test_too_little_is_said_and_nothing_written(story: Story) -> None:
    story.kept(LEFT)
    with pytest.raises(TooLittleFeedback, match="1 of 50 accepted spans") as caught:
        export(story.log, "sft")
    assert caught.value.exit_code == 2
    assert not paths.datasets_dir().exists()
    with pytest.raises(TooLittleFeedback):
        export(FeedbackLog(Path("/nowhere/library.db")), "sft")


def enough(story: Story) -> list[TakeRecord]:
    return [story.kept(f"{LEFT} {number}") for number in range(50)]


def recorded(story: Story) -> tuple[list[tuple[Any, ...]], int]:
    with story.log.reading() as connection:
        assert connection is not None
        rows = connection.execute("SELECT kind, size, hash, path FROM dataset ORDER BY id").fetchall()
        used = connection.execute("SELECT count(*) FROM used_in").fetchone()[0]
    return [tuple(row) for row in rows], used


def test_an_export_is_a_private_file_and_is_recorded_with_its_grounds(story: Story) -> None:
    """safety 69"""
    enough(story)
    dataset, path = export(story.log, "sft")
    assert path.parent == paths.datasets_dir()
    assert path.read_bytes() == dataset.data
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert recorded(story) == ([("sft", 50, dataset.hash, str(path).encode())], 50)
    assert dataset.human_characters == sum(len(row["completion"]) for row in lines(dataset))


def test_the_same_export_again_is_the_same_file_and_record(story: Story) -> None:
    enough(story)
    assert export(story.log, "sft") == export(story.log, "sft")
    assert len(recorded(story)[0]) == 1
    assert export_text(story.log, "sft").data == export_text(story.log, "sft").data
    assert [row[3] for row in recorded(story)[0]][1:] == [None]


def test_a_file_of_the_writer_s_is_never_replaced(story: Story, tmp_path: Path) -> None:
    enough(story)
    novel = tmp_path / "novel.md"
    novel.write_text("Chapter one")
    with pytest.raises(UserError, match="no data set"):
        export(story.log, "sft", to=novel)
    assert novel.read_text() == "Chapter one"
    mine = tmp_path / "mine.jsonl"
    export(story.log, "sft", to=mine)
    story.kept(RIGHT)
    dataset, _ = export(story.log, "sft", to=mine)
    assert mine.read_bytes() == dataset.data
    assert dataset.size == 51


def test_an_export_that_cannot_be_written_is_not_recorded(story: Story, tmp_path: Path) -> None:
    enough(story)
    with pytest.raises(UserError, match="cannot be written"):
        export(story.log, "sft", to=tmp_path / "nowhere" / "set.jsonl")
    assert recorded(story) == ([], 0)


def test_an_export_that_fails_the_second_time_leaves_the_first_one_to_be_found(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safety 69"""
    enough(story)
    _, path = export(story.log, "sft")
    before = recorded(story)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("storyteller.feedback.datasets.write_atomic", full)
    with pytest.raises(UserError, match="cannot be written"):
        export(story.log, "sft")
    assert path.exists()
    assert recorded(story) == before


# golden files: all of it in one log


def golden_log(log: FeedbackLog, *, clock: float = 0.0) -> None:
    """A log with something for every rule, in ids and times that never change."""
    story = Story(log, clock=clock)
    story.kept("She put on her coat, and went.", prompt="It was late. ")
    (edited,) = story.offer("The harbour lay grey under the snow.", prompt="Morning. ")
    story.does("accept", edited)
    story.stands(edited, "The harbour lay white under the snow.")
    braid = story.offer(LEFT, RIGHT, THIRD, RIGHT.replace("clocks", "cloaks"), prompt="Then ", genre="verse")
    story.does("view", braid[0])
    story.does("accept_partial", braid[1], (0, 18), elapsed_ms=150)
    story.does("accept_partial", braid[1], (18, len(RIGHT)))
    story.does("reject", braid[0])
    story.stands(braid[1], horizon="120", elapsed_s=121)
    (undone,) = story.offer("Twelve ravens sat on the fence.", prompt="Outside ")
    story.does("accept", undone)
    story.does("undo_accept", undone, after_s=30)
    (slip,) = story.offer("Thirteen ravens sat on the roof.", prompt="Outside ")
    story.does("accept", slip)
    story.does("undo_accept", slip, after_s=3)
    (replaced,) = story.offer("He laughed and laughed.", prompt="He ")
    story.does("dismiss", replaced)
    story.does("edit_after", replaced, text="wept, without a sound.")
    (hostile,) = story.offer("\x1b[31m\ud800 [red]\u2028\x00 he said.", prompt="\udfff\x07 ")
    story.does("accept", hostile)
    story.stands(hostile, horizon="600", elapsed_s=601)
    for number in range(30):
        story.kept(
            f"In book {number} it rained.", document=f"/books/{number}.md", prompt=f"Chapter {number}. "
        )
        (again,) = story.offer(f"In book {number} it snowed.", document=f"/books/{number}.md")
        story.does("retry", again)
        if number % 4 == 0:
            story.does("rate_up", again)


@pytest.mark.parametrize("holdout", [False, True])
@pytest.mark.parametrize("kind", ["sft", "preference", "unpaired"])
def test_the_bytes_are_the_golden_ones(kind: DataKind, *, holdout: bool) -> None:
    """safety 71"""
    log = agreed_log()
    golden_log(log)
    name = f"{kind}{'-holdout' if holdout else ''}.jsonl"
    assert prepare(log, kind, holdout=holdout).data == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize("clock", [-86_400.0, 1e9])
def test_a_clock_that_runs_wrong_changes_no_byte(clock: float) -> None:
    """safety 71"""
    log = agreed_log()
    golden_log(log, clock=clock)
    assert prepare(log, "unpaired").data == (GOLDEN / "unpaired.jsonl").read_bytes()


@settings(max_examples=10)  # three dozen commits each
@given(order=st.permutations(range(8)))
def test_two_instances_that_wrote_in_turns_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    """safety 71: the order of commits between takes, as two running programs mix it, changes nothing."""
    log = agreed_log(tmp_path_factory.mktemp("log") / "library.db")
    story = Story(log)
    offers = {number: story.offer(f"{LEFT} {number}", number=number + 1) for number in order}
    for number in reversed(order):
        (take,) = offers[number]
        story.does("accept" if number % 2 else "reject", take)
        if number % 2:
            story.stands(take)
    completions = [row["completion"] for row in exported(story, "unpaired")]
    assert completions == [f"{LEFT} {number}" for number in range(8)]
    assert [row["id"] for row in exported(story, "sft")] == [
        numbered("t0", number + 1) for number in (1, 3, 5, 7)
    ]
    log.close()


def test_consent_is_not_needed_to_read_an_empty_log() -> None:
    log = FeedbackLog()
    assert prepare(log, "sft").size == 0
    assert log.consent(EVERYTHING) is None
