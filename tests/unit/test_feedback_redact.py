"""Redaction: struck out everywhere, ids too, and nothing learnt from what is left."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyteller import paths
from storyteller.errors import UserError
from storyteller.feedback.consent import Scope
from storyteller.feedback.datasets import export, prepare
from storyteller.feedback.history import read_history
from storyteller.feedback.keeping import keep_provenance, keep_takes
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import AdapterUse, FeedbackEvent, Survival
from storyteller.feedback.redact import NAMES, STRUCK_OUT, WORDS, pattern, redact
from storyteller.feedback.rows import pack_ids
from tests.stubs.feedback_story import Story, agreed_log, holding

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.feedback.history import GenerationHistory

SECRET = "Rosamunde"


@pytest.fixture
def story() -> Story:
    return Story(agreed_log())


def history(story: Story) -> list[GenerationHistory]:
    with story.log.reading() as connection:
        assert connection is not None
        return read_history(connection)


def test_a_word_is_struck_out_of_every_column(story: Story, home: Path) -> None:
    (take,) = story.offer(
        f"Then {SECRET} laughed.",
        prompt=f"Dear {SECRET}, ",
        document=f"/home/{SECRET}/letter.md",
        settings={"negative_prompt": f"no {SECRET}", "temperature": 0.5},
        adapters=(AdapterUse(f"/home/{SECRET}/lora"),),
    )
    story.does("accept", take)
    story.does("edit_after", take, text=f"And {SECRET} wept.", more=[{"deep": SECRET}])
    story.stands(take, f"Then {SECRET} smiled.")
    keep_takes(story.log, f"/home/{SECRET}/letter.md", "text", [(take.id, 3)])
    keep_provenance(story.log, f"/home/{SECRET}/letter.md", "tales", "text", "[]")
    assert holding(home, SECRET)
    ids = pack_ids(take.ids)[0]
    assert holding(home, ids)
    found = redact(story.log, pattern(SECRET))
    story.log.close()
    assert (found.generations, found.texts) == (1, 9)
    assert holding(home, SECRET, ids) == []
    (left,) = history(story)
    assert left.redacted
    assert left.takes[0].record.text == f"Then {STRUCK_OUT} laughed."
    assert left.record.settings == {"negative_prompt": f"no {STRUCK_OUT}", "temperature": 0.5}
    assert left.record.adapters == (AdapterUse(f"/home/{STRUCK_OUT}/lora"),)


def test_every_column_with_words_is_known_to_it(story: Story) -> None:
    """A column added to the schema has to be sorted: words, names, or neither."""
    neither = {
        *(("generation", name) for name in ("genre", "prompt_ids")),  # a genre's name stays; ids are dropped
        ("take", "ids"),
        ("provenance", "spans"),  # numbers
        ("dataset", "query"),  # a genre's name and a flag
    }
    with story.log.connected() as connection:
        assert connection is not None
        blobs = {
            (table["name"], column["name"])
            for table in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for column in connection.execute(f"PRAGMA table_info({table['name']})")
            if column["type"] == "BLOB"
        }
    known = [(column.table, column.name) for column in (*WORDS, *NAMES)]
    assert sorted([*known, *neither]) == sorted(blobs)


def test_what_a_prompt_begins_and_a_take_ends_is_struck_out_of_both(story: Story, home: Path) -> None:
    (take, other) = story.offer("munde ran.", "gard ran.", prompt="Then Rosa")
    redact(story.log, pattern(SECRET))
    story.log.close()
    (left,) = history(story)
    assert left.record.prompt == f"Then {STRUCK_OUT}"
    assert [found.record.text for found in left.takes] == [f"{STRUCK_OUT} ran.", "gard ran."]
    assert left.record.prompt_ids == ()
    assert holding(home, pack_ids(take.ids)[0], pack_ids(other.ids)[0]) == []


def test_what_is_left_teaches_nothing_and_takes_no_more_records(story: Story) -> None:
    take = story.kept(f"{SECRET} came in.")
    whole = story.kept("Nobody came in.")
    redact(story.log, pattern(SECRET))
    assert prepare(story.log, "sft").size == 1
    assert not story.log.take(take)
    assert not story.log.event(FeedbackEvent(generation=take.generation, take=take.id, kind="view"))
    assert story.log.survival(Survival(take=take.id, horizon="close", now=f"{SECRET} again")) == 0
    assert story.log.take(whole)


def test_a_document_s_name_is_struck_out_and_its_words_stay(story: Story) -> None:
    story.kept("She ran home.", document=f"/home/{SECRET}/novel.md")
    story.kept("He ran home.", document="/other.md")
    before = prepare(story.log, "sft")
    found = redact(story.log, pattern(SECRET))
    assert (found.generations, found.texts) == (0, 1)
    assert prepare(story.log, "sft") == before
    story.log.set_consent(Scope.of_document(f"/home/{SECRET}/novel.md"), on=False)
    assert prepare(story.log, "sft").dropped["consent withdrawn"] == 1


def test_the_words_of_our_own_stay(story: Story) -> None:
    story.kept("She ran home.", adapters=(AdapterUse("nadia", 0.5),))
    redact(story.log, pattern("na"))
    with story.log.reading() as connection:
        assert connection is not None
        (found,) = read_history(connection)
    (adapter,) = found.record.adapters
    assert (adapter.name, adapter.weight) == ("█████dia", 0.5)


def test_data_sets_that_hold_it_are_removed_and_their_adapters_named(story: Story, tmp_path: Path) -> None:
    for number in range(60):
        genre = "tales" if number < 50 else "verse"
        story.kept(f"{SECRET if number == 3 else 'Nobody'} came in {number}.", genre=genre)
    dataset, path = export(story.log, "sft", genre="tales")
    export(story.log, "sft", to=tmp_path / "elsewhere.jsonl")
    card = paths.adapters_dir() / "tales" / "v2" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"data": [{"sha256": dataset.hash}]}))
    (card.parent.parent / "card.json").write_text('{"data": "another"}')
    found = redact(story.log, pattern(SECRET))
    assert not path.exists()
    assert set(found.datasets.files) == {path, tmp_path / "elsewhere.jsonl"}
    assert found.datasets.adapters == ("tales/v2",)


def test_a_second_redaction_finds_nothing(story: Story) -> None:
    story.kept(f"{SECRET} came in.", prompt=SECRET)
    redact(story.log, pattern(SECRET))
    again = redact(story.log, pattern(SECRET))
    assert (again.texts, again.generations) == (0, 0)


@pytest.mark.parametrize(
    ("options", "text", "left"),
    [
        ({}, "a.c abc A.C", f"{STRUCK_OUT} abc A.C"),
        ({"regex": True}, "a.c abc A.C", f"{STRUCK_OUT} {STRUCK_OUT} A.C"),
        ({"ignore_case": True}, "a.c abc A.C", f"{STRUCK_OUT} abc {STRUCK_OUT}"),
    ],
)
def test_as_it_stands_or_as_an_expression(options: dict[str, bool], text: str, left: str) -> None:
    assert pattern("a.c", **options).sub(STRUCK_OUT, text) == left


@pytest.mark.parametrize(("text", "regex"), [("", False), ("x*", True), ("(", True), ("^", True)])
def test_a_pattern_that_means_nothing_or_everything_is_refused(text: str, *, regex: bool) -> None:
    with pytest.raises(UserError) as caught:
        pattern(text, regex=regex)
    assert caught.value.exit_code == 2


def test_without_a_library_there_is_nothing_to_do(home: Path) -> None:
    assert redact(FeedbackLog(), pattern("x")).texts == 0
    assert not home.exists()


WORD = st.text(alphabet="ab\ud800é\x00 ", min_size=1, max_size=8)


@settings(max_examples=30)
@given(WORD, st.lists(WORD, min_size=1, max_size=3), WORD)
def test_nothing_a_pattern_finds_is_left(
    tmp_path_factory: pytest.TempPathFactory, prompt: str, texts: list[str], word: str
) -> None:
    story = Story(agreed_log(tmp_path_factory.mktemp("log") / "library.db"))
    story.offer(*texts, prompt=prompt)
    redact(story.log, pattern(word))
    (left,) = history(story)
    found = re.compile(re.escape(word))
    everything: list[Any] = [left.record.prompt, *(take.record.text for take in left.takes)]
    assert not any(found.search(text) for text in everything)
    for take in left.takes:
        assert not any(
            match.start() < len(left.record.prompt) < match.end()
            for match in found.finditer(left.record.prompt + take.record.text)
        )
    story.log.close()
