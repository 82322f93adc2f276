"""What the log and the takes of the document hold after a braid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storyteller.config import Settings
from storyteller.engine.fake import Reply
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.history import read_history
from storyteller.feedback.log import FeedbackLog
from tests.stubs.open_braid import ANOTHER, BEFORE, TEXTS, braided, grow
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.feedback.history import GenerationHistory, TakeHistory

AGREED = Settings(consent="yes")


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    log = FeedbackLog()
    log.set_consent(EVERYTHING, on=True)
    log.close()
    path = tmp_path / "novel.md"
    path.write_text(BEFORE, encoding="utf-8")
    return path


def logged() -> GenerationHistory:
    with FeedbackLog().reading() as connection:
        assert connection is not None
        (generation,) = read_history(connection)
    return generation


def kinds(take: TakeHistory) -> list[str]:
    return [event.kind for event in take.events]


async def test_the_kept_take_is_accepted_and_its_siblings_were_seen(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)], settings=AGREED) as room:
        await braided(room)
        await room.press("2")
    generation = logged()
    assert generation.record.prompt == BEFORE
    assert generation.record.cursor == len(BEFORE)
    assert [take.record.text for take in generation.takes] == list(TEXTS)
    assert [kinds(take) for take in generation.takes] == [["view"], ["view", "accept"], ["view"]]
    accept = generation.takes[1].events[-1]
    assert (accept.start, accept.end) == (0, len(TEXTS[1]))
    assert all(take.record.shown and take.record.shown_ms > 0 for take in generation.takes)
    seed = generation.record.seed
    assert [take.record.seed for take in generation.takes] == [seed, seed + 1, seed + 2]


async def test_a_part_kept_is_a_span(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)], settings=AGREED) as room:
        await braided(room)
        await room.press("up", "enter")
        shown = room.room.prompter.shown
        assert shown is not None
        assert shown.on_page
    take = logged().takes[0]
    assert kinds(take) == ["view", "accept_partial"]
    assert (take.events[-1].start, take.events[-1].end) == (0, len(TEXTS[0]) - len(" coat."))
    assert take.events[-1].payload == {"piece": "caret"}


async def test_dropping_refuses_replacing_retries_and_leaving_is_no_judgement(novel: Path) -> None:
    script: list[Reply | str] = [Reply(texts=TEXTS), ANOTHER]
    async with open_room(novel, script=script, settings=AGREED) as room:
        await braided(room)
        await room.press("x", "r")
        await grow(room)
        await room.press("escape")
        anchors = {
            take.text: (take.anchor, take.settings["temperature"]) for take in room.room.prompter.tree.all()
        }
        temperature = room.room.manner.settings.temperature
    assert anchors == dict.fromkeys((*TEXTS, ANOTHER), (len(BEFORE), temperature))
    generation = logged()
    assert [take.record.text for take in generation.takes] == [*TEXTS, ANOTHER]
    assert [kinds(take) for take in generation.takes] == [
        ["view", "reject"],
        ["view", "retry"],
        ["view", "dismiss"],
        ["view", "dismiss"],
    ]
    assert generation.takes[3].events[-1].payload == {"hidden": True}


async def test_a_lane_nobody_could_see_was_not_shown(novel: Path) -> None:
    settings = Settings(consent="yes", braid_lanes=6)
    async with open_room(novel, script=[Reply(texts=TEXTS)], settings=settings, size=(40, 11)) as room:
        await braided(room)
        await room.press("1")
    takes = logged().takes
    assert [take.record.shown for take in takes] == [True] * 3 + [False] * 3
    assert [kinds(take) for take in takes[3:]] == [[], [], []]


async def test_a_kept_take_that_is_undone_says_so(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)], settings=AGREED) as room:
        await braided(room)
        await room.press("1", "ctrl+z")
    assert kinds(logged().takes[0]) == ["view", "accept", "undo_accept"]
