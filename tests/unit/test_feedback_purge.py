"""Purge: what is selected goes, the rest stays, and nothing comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from storyteller import paths
from storyteller.atomic import write_atomic
from storyteller.errors import LibraryError
from storyteller.feedback.datasets import export, export_text, is_removed
from storyteller.feedback.history import read_history
from storyteller.feedback.keeping import keep_provenance, restore_provenance
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.purge import Purged, Selection, purge, to_be_removed
from storyteller.feedback.records import FeedbackEvent
from storyteller.library import set_aside_files
from tests.stubs.feedback_story import Story, agreed_log, holding

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING_OF_IT = Selection(everything=True)


@pytest.fixture
def story() -> Story:
    return Story(agreed_log())


def texts(story: Story) -> list[str]:
    with story.log.reading() as connection:
        assert connection is not None
        return [take.record.text for found in read_history(connection) for take in found.takes]


def test_one_document_goes_and_the_others_stay(story: Story) -> None:
    story.kept("From the diary.", document="/diary.md")
    story.kept("From the novel.", document="/novel.md")
    for document in ("/diary.md", "/novel.md"):
        keep_provenance(story.log, document, "tales", "text", "[[0,1]]")
    selection = Selection(document="/diary.md")
    assert to_be_removed(story.log, selection) == Purged(generations=1, takes=1, events=1)
    assert texts(story) == ["From the diary.", "From the novel."]
    assert purge(story.log, selection) == Purged(generations=1, takes=1, events=1)
    assert texts(story) == ["From the novel."]
    assert restore_provenance(story.log, "/diary.md", "text") is None
    assert restore_provenance(story.log, "/novel.md", "text") == "[[0,1]]"


def test_since_takes_what_was_written_or_touched_from_then_on(story: Story) -> None:
    story.kept("Long ago.")
    (touched,) = story.offer("Long ago, touched today.")
    story.does("view", touched, after_s=10_000)
    story.kept("Today.")
    assert purge(story.log, Selection(since=5000.0)).generations == 2
    assert texts(story) == ["Long ago."]


def test_what_was_purged_cannot_be_written_again(story: Story) -> None:
    take = story.kept("Gone.")
    with story.log.reading() as connection:
        assert connection is not None
        generation = read_history(connection)[0].record
    purge(story.log, EVERYTHING_OF_IT)
    assert not story.log.generation(generation)
    assert not story.log.take(take)
    assert not story.log.event(FeedbackEvent(generation=take.generation, take=take.id, kind="view"))
    assert texts(story) == []
    story.kept("Something new.", number=99)
    assert texts(story) == ["Something new."]


def test_a_purged_take_stays_away_though_its_generation_were_new(story: Story) -> None:
    take = story.kept("Gone.")
    purge(story.log, EVERYTHING_OF_IT)
    (new,) = story.offer("New.", number=50)
    import msgspec

    assert not story.log.take(msgspec.structs.replace(take, generation=new.generation))


def test_consent_stays(story: Story) -> None:
    purge(story.log, EVERYTHING_OF_IT)
    assert story.log.consent() is True


def test_only_data_sets_of_what_goes_are_removed_and_their_adapters_named(
    story: Story, tmp_path: Path
) -> None:
    for number in range(120):
        story.kept(
            f"Sentence {number}.",
            document="/diary.md" if number < 60 else "/novel.md",
            genre=f"g{number // 60}",
        )
    both, first = export(story.log, "sft", to=tmp_path / "both.jsonl")
    diary, second = export(story.log, "sft", genre="g0")
    _, third = export(story.log, "sft", to=tmp_path / "novel.jsonl", genre="g1")
    piped = export_text(story.log, "sft", genre="g0")
    assert piped.hash == diary.hash
    for name, mark in (("old", both.hash), ("new", diary.hash), ("other", "0" * 64)):
        card = paths.adapters_dir() / name / "card.json"
        card.parent.mkdir(parents=True)
        card.write_text(json.dumps({"base": "x", "data": {"hash": mark, "rows": 3}}))
    (paths.adapters_dir() / "broken").mkdir()
    (paths.adapters_dir() / "broken" / "card.json").write_text("[" * 5000)
    purged = purge(story.log, Selection(document="/diary.md"))
    assert set(purged.datasets.files) == {first, second}
    assert purged.datasets.adapters == ("new", "old")
    assert third.exists()
    assert holding(tmp_path, "Sentence 7.") == []


def test_a_run_that_learns_from_what_goes_is_named_until_it_is_over(story: Story) -> None:
    for number in range(60):
        story.kept(f"Sentence {number}.", document="/diary.md", genre="g0")
    dataset, _ = export(story.log, "sft", genre="g0")
    for genre, mark, unfinished in (
        ("g0", dataset.hash, True),
        ("g1", dataset.hash, False),
        ("g2", "x", True),
    ):
        folder = paths.state_dir() / "training" / genre
        (folder / "step-4" if unfinished else folder).mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"datasets": [mark]}))
    assert not is_removed(story.log, [dataset.hash])
    assert purge(story.log, Selection(document="/diary.md")).datasets.runs == ("g0",)
    assert is_removed(story.log, [dataset.hash])
    assert not is_removed(story.log, [])


def test_a_data_set_changed_since_is_left_and_named_every_time(story: Story, tmp_path: Path) -> None:
    for number in range(60):
        story.kept(f"Sentence {number}.")
    _, path = export(story.log, "sft", to=tmp_path / "mine.jsonl")
    path.write_text("my own notes")
    assert purge(story.log, EVERYTHING_OF_IT).datasets.left == (path,)
    assert purge(story.log, EVERYTHING_OF_IT).datasets.left == (path,)
    assert path.read_text() == "my own notes"


def test_a_data_set_written_over_by_a_later_one_goes_with_what_is_in_it_now(
    story: Story, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.jsonl"
    for number in range(60):
        story.kept(f"Sentence {number}.", document="/diary.md", genre="diary")
    export(story.log, "sft", to=mine, genre="diary")
    for number in range(60):
        story.kept(f"Verse {number}.", document="/novel.md", genre="verse")
    export(story.log, "sft", to=mine, genre="verse")
    purged = purge(story.log, Selection(document="/diary.md"))
    assert (purged.datasets.files, purged.datasets.left) == ((), ())
    assert mine.exists()
    assert purge(story.log, Selection(document="/novel.md")).datasets.files == (mine,)


def test_a_purge_in_the_midst_of_an_export_leaves_no_file(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        story.kept(f"Sentence {number}.")

    def purge_first(path: Path, data: bytes, *, mode: int | None = None) -> object:
        purge(FeedbackLog(), EVERYTHING_OF_IT)
        return write_atomic(path, data, mode=mode)

    monkeypatch.setattr("storyteller.feedback.datasets.write_atomic", purge_first)
    with pytest.raises(LibraryError, match="was purged"):
        export(story.log, "sft", to=tmp_path / "late.jsonl")
    assert holding(tmp_path, "Sentence 7.") == []


def test_a_file_that_cannot_be_removed_stops_it_before_anything_is_forgotten(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    for number in range(60):
        story.kept(f"Sentence {number}.")
    _, path = export(story.log, "sft")

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(LibraryError, match="purge again"):
            purge(story.log, EVERYTHING_OF_IT)
    assert len(texts(story)) == 60
    assert purge(story.log, EVERYTHING_OF_IT).datasets.files == (path,)
    assert not path.exists()


def test_a_damaged_library_goes_whole(home: Path) -> None:
    """safety 64"""
    story = Story(agreed_log())
    story.kept("The murderer is the gardener.")
    story.log.close()
    data = bytearray(story.log.path.read_bytes())
    data[0:16] = b"Rubbish, now....."[:16]
    story.log.path.write_bytes(data)
    assert holding(home, "gardener")
    purged = purge(FeedbackLog(), EVERYTHING_OF_IT)
    assert len(purged.set_aside) == 1
    assert holding(home, "gardener") == []
    assert set_aside_files(paths.library_path()) == []


def test_without_a_library_there_is_nothing_to_do(home: Path) -> None:
    assert purge(FeedbackLog(), EVERYTHING_OF_IT) == Purged()
    assert not home.exists()
