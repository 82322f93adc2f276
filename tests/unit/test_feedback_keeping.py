"""Takes and provenance kept between two openings, and found again in a text that changed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.keeping import (
    forget_takes,
    keep_provenance,
    keep_takes,
    restore_provenance,
    restore_takes,
)
from storyteller.feedback.log import FeedbackLog
from storyteller.manuscript.takes import TakeTree
from tests.stubs.feedback_story import Story, agreed_log

if TYPE_CHECKING:
    from pathlib import Path

NOVEL = "/home/anna/novel.md"
OPENING = "It was the last ferry of the year, and nobody was on it. "


@pytest.fixture
def story() -> Story:
    return Story(agreed_log())


def test_a_tree_comes_back_as_it_was(story: Story) -> None:
    takes = story.offer("She waved.", "He slept.", prompt=OPENING, settings={"temperature": 0.9})
    tree = TakeTree()
    assert keep_takes(story.log, NOVEL, OPENING, [(take.id, len(OPENING)) for take in takes]) == 2
    for take in restore_takes(story.log, NOVEL, OPENING):
        tree.add(take)
    first, second = tree.at(len(OPENING))
    assert (first.text, first.seed, second.seed) == ("She waved.", 7, 8)
    assert first.settings == {"temperature": 0.9}
    assert (first.ids, first.genre, first.model) == (takes[0].ids, "tales", "starter")
    assert first.anchor == len(OPENING)


def test_a_take_that_was_dropped_stays_away_until_it_is_kept_again(story: Story) -> None:
    first, second = story.offer("She waved.", "He slept.", prompt=OPENING)
    anchors = [(take.id, len(OPENING)) for take in (first, second)]
    keep_takes(story.log, NOVEL, OPENING, anchors)
    forget_takes(story.log, [first.id, "nobody"])
    assert [take.id for take in restore_takes(story.log, NOVEL, OPENING)] == [second.id]
    keep_takes(story.log, NOVEL, OPENING, anchors)
    assert len(restore_takes(story.log, NOVEL, OPENING)) == 2


def test_a_later_save_moves_the_anchors(story: Story) -> None:
    (take,) = story.offer("She waved.", prompt=OPENING)
    keep_takes(story.log, NOVEL, OPENING, [(take.id, len(OPENING))])
    longer = "Chapter one. " + OPENING
    keep_takes(story.log, NOVEL, longer, [(take.id, len(longer))])
    assert [found.anchor for found in restore_takes(story.log, NOVEL, longer)] == [len(longer)]


def test_a_text_changed_elsewhere_keeps_what_is_found_again_nearest_by(story: Story) -> None:
    (take,) = story.offer("She waved.", prompt=OPENING)
    text = OPENING + "The end."
    keep_takes(story.log, NOVEL, text, [(take.id, len(OPENING))])
    changed = OPENING + "x" * 200 + "Prologue. " + OPENING + "The end."
    assert [found.anchor for found in restore_takes(story.log, NOVEL, changed)] == [len(OPENING)]
    changed = "Prologue. " + text
    assert [found.anchor for found in restore_takes(story.log, NOVEL, changed)] == [10 + len(OPENING)]
    assert restore_takes(story.log, NOVEL, "Nothing of it is left.") == []


def test_a_spot_that_could_be_anywhere_is_given_up(story: Story) -> None:
    (take,) = story.offer("She waved.", prompt="the ")
    keep_takes(story.log, NOVEL, "the sea", [(take.id, 4)])
    assert restore_takes(story.log, NOVEL, "the sea, the sky, the sand") == []


def test_only_this_document_s(story: Story) -> None:
    (take,) = story.offer("She waved.", prompt=OPENING)
    keep_takes(story.log, NOVEL, OPENING, [(take.id, 3)])
    assert restore_takes(story.log, "/other.md", OPENING) == []


def test_nothing_is_kept_without_consent(home: Path) -> None:
    log = FeedbackLog()
    assert keep_takes(log, NOVEL, "text", [("t", 0)]) == 0
    assert not keep_provenance(log, NOVEL, "tales", "text", "[]")
    assert restore_takes(log, NOVEL, "text") == []
    assert restore_provenance(log, NOVEL, "text") is None
    assert not home.exists()


def test_nothing_more_is_kept_after_a_no(story: Story) -> None:
    (take,) = story.offer("She waved.", prompt=OPENING)
    story.log.set_consent(EVERYTHING, on=False)
    assert keep_takes(story.log, NOVEL, OPENING, [(take.id, 3)]) == 0
    assert not keep_provenance(story.log, NOVEL, "tales", OPENING, "[]")


def test_takes_that_are_in_no_log_are_not_kept(story: Story) -> None:
    assert keep_takes(story.log, NOVEL, OPENING, [("unknown", 3)]) == 0


def test_provenance_is_for_one_text_only(story: Story) -> None:
    assert keep_provenance(story.log, NOVEL, "tales", "the text\ud800", "[[0,3,1]]")
    assert restore_provenance(story.log, NOVEL, "the text\ud800") == "[[0,3,1]]"
    assert restore_provenance(story.log, NOVEL, "another text") is None
    assert keep_provenance(story.log, NOVEL, "tales", "another text", "[]")
    assert restore_provenance(story.log, NOVEL, "another text") == "[]"
