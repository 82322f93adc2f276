"""What the room writes into the log of feedback, and that it writes nothing without consent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from storyteller import paths
from storyteller.config import Settings, load_settings
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.history import GenerationHistory, read_history
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.rows import name_hash
from storyteller.manuscript.lock import DocumentLock
from storyteller.tui.dialogs.choice import Choice
from storyteller.tui.dialogs.entry import Entry
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.feedback.history import TakeHistory
    from tests.stubs.open_room import OpenRoom

FIRST, SECOND = " The lamp burned low. Nobody came.", " Then she left."
YES = Settings(consent="yes")


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.", encoding="utf-8")
    return path


@pytest.fixture
def agreed() -> None:
    log = FeedbackLog()
    log.set_consent(EVERYTHING, on=True)
    log.close()


def history() -> list[GenerationHistory]:
    log = FeedbackLog()
    with log.reading() as connection:
        found = [] if connection is None else read_history(connection)
    log.close()
    return found


def kinds(take: TakeHistory) -> list[str]:
    return [event.kind for event in take.events]


async def asked(room: OpenRoom) -> None:
    await room.press("ctrl+end", "tab")
    await room.stream()


@pytest.mark.usefixtures("agreed")
async def test_a_generation_with_its_prompt_and_seed_and_what_was_kept_of_it(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        await asked(room)
        await room.press("ctrl+right", "tab")
        await room.until(lambda: "Kept" in room.line("status"))
    (generation,) = history()
    record = generation.record
    assert record.document.endswith("novel.md")
    assert (record.genre, record.cursor, record.model) == ("stories", 18, "fake")
    assert record.settings["temperature"] == 0.8
    assert record.seed
    assert record.total_ms is not None
    (take,) = generation.takes
    assert (take.record.text, take.record.finish, take.record.shown) == (FIRST, "length", True)
    assert take.record.shown_ms > 0
    assert kinds(take) == ["view", "accept_partial", "accept"]
    partial, whole = take.events[1:]
    assert FIRST[partial.start : partial.end] == " The"
    assert FIRST[whole.start : whole.end] == FIRST.removeprefix(" The")


@pytest.mark.usefixtures("agreed")
async def test_the_event_is_on_disk_when_the_screen_says_kept(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        await asked(room)
        await room.press("tab")
        await room.until(lambda: "Kept" in room.line("status"))
        assert kinds(history()[0].takes[0])[-1] == "accept"


@pytest.mark.usefixtures("agreed")
async def test_refusing_and_writing_something_instead(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        await asked(room)
        await room.press("escape", "space", "N", "o", ".", "ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    (take,) = history()[0].takes
    assert kinds(take) == ["view", "reject", "edit_after"]
    assert take.events[-1].payload == {"text": " No."}


@pytest.mark.usefixtures("agreed")
async def test_typing_past_an_offer_is_a_dismissal(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        await asked(room)
        await room.press("z")
    (take,) = history()[0].takes
    assert kinds(take) == ["view", "dismiss", "edit_after"]
    assert take.events[-1].payload == {"text": "z"}


@pytest.mark.usefixtures("agreed")
async def test_a_retry_at_the_same_spot_is_another_take_of_the_generation(novel: Path) -> None:
    async with open_room(novel, script=[FIRST, SECOND], settings=YES) as room:
        await asked(room)
        await room.press("ctrl+r")
        await room.stream()
        await room.press("f7", "tab")
        await room.until(lambda: "Kept" in room.line("status"))
    (generation,) = history()
    first, second = generation.takes
    assert (first.record.text, second.record.text) == (FIRST, SECOND)
    assert (first.record.index, second.record.index) == (0, 1)
    assert kinds(first) == ["view", "retry", "accept"]
    assert kinds(second) == ["view", "cycle"]


@pytest.mark.usefixtures("agreed")
async def test_giving_back_and_undoing(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        await asked(room)
        await room.press("ctrl+right", "ctrl+left", "ctrl+right", "ctrl+z")
        await room.settle()
    (take,) = history()[0].takes
    assert [kind for kind in kinds(take) if kind != "dismiss"] == [
        "view",
        "accept_partial",
        "unaccept",
        "accept_partial",
        "undo_accept",
    ]


@pytest.mark.usefixtures("agreed")
async def test_hiding_is_no_refusal_and_cancelling_is(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        await room.press("ctrl+end", "tab")
        await room.stream(2)
        await room.press("escape", "escape")
        await room.until(lambda: room.room.prompter.asking is None)
    (take,) = history()[0].takes
    assert kinds(take) == ["view", "dismiss", "reject"]
    assert take.events[1].payload == {"hidden": True}
    assert take.record.finish == "cancelled"


@pytest.mark.usefixtures("agreed")
async def test_what_stands_at_save_and_at_the_end_is_measured(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        await asked(room)
        await room.press("tab", "ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
        await room.press(*["backspace"] * 13)
    (take,) = history()[0].takes
    assert take.survival["save"].now == FIRST
    assert take.survival["close"].now == FIRST[:-13]
    assert take.survival["save"].distance == 0


@pytest.mark.usefixtures("agreed")
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
async def test_what_is_kept_in_a_file_with_other_line_ends_is_measured_as_in_any(
    tmp_path: Path, newline: str
) -> None:
    path = tmp_path / "verses.md"
    path.write_bytes(f"One.{newline}Two.".encode())
    verse = "\nShe\nwent\nout."
    async with open_room(path, script=[verse, SECOND], settings=YES) as room:
        await asked(room)
        await room.press("ctrl+right", "ctrl+right", "ctrl+left", "ctrl+right", "tab", "ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
        await asked(room)
        await room.press("escape", "enter", "N", "o", ".", "enter", "Y", "ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    (take,), (refused,) = (generation.takes for generation in history())
    look = take.survival["close"]
    assert (look.now, look.length, look.distance) == (verse, len(verse), 0)
    assert refused.events[-1].payload == {"text": "\nNo.\nY"}


@pytest.mark.usefixtures("agreed")
async def test_rating(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        await asked(room)
        room.room.act("offer.rate_up")
        await room.until(lambda: "Noted" in room.line("status"))
    assert "rate_up" in kinds(history()[0].takes[0])


@pytest.mark.usefixtures("agreed")
async def test_takes_and_origins_come_back_with_the_document(novel: Path) -> None:
    async with open_room(novel, script=[FIRST, SECOND], settings=YES) as room:
        await asked(room)
        await room.press("ctrl+r")
        await room.stream()
        await room.press("tab", "ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    async with open_room(novel, settings=YES) as room:
        await room.until(lambda: len(room.room.prompter.tree) == 2)
        (span,) = room.room.page.provenance.spans()
        assert (span.start, span.end, span.origin) == (18, 18 + len(SECOND), "accepted")
        room.room.page.place_caret(18)
        await room.press("f8")
        assert room.offered == FIRST


@pytest.mark.usefixtures("agreed")
async def test_takes_that_came_after_the_last_save_come_back_too(novel: Path) -> None:
    async with open_room(novel, script=[FIRST, SECOND], settings=YES) as room:
        await asked(room)
        await room.press("escape")
        await asked(room)
        await room.press("ctrl+q")
        assert await room.ended() == 0
    async with open_room(novel, settings=YES) as room:
        await room.until(lambda: len(room.room.prompter.tree) == 2)


@pytest.mark.usefixtures("agreed")
async def test_what_was_thrown_away_brings_nothing_back_in_a_wrong_place(novel: Path) -> None:
    async with open_room(novel, script=[FIRST, SECOND], settings=YES) as room:
        await asked(room)
        await room.press("tab")
        await asked(room)
        await room.press("escape", "ctrl+q")
        await room.dialog(Choice)
        await room.press("d")
        assert await room.ended() == 0
    async with open_room(novel, settings=YES) as room:
        assert room.text == "She read it twice."
        assert not list(room.room.page.provenance.spans())
        assert not room.room.prompter.tree.at(len(room.text) + 1)


async def test_the_first_run_asks_once_in_plain_words(novel: Path) -> None:
    async with open_room(novel, settings=Settings(), opened=False) as room:
        choice = await room.dialog(Choice)
        shown = " ".join(str(widget.render()) for widget in choice.query("Static"))
        assert "on this machine" in shown
        await room.press("y")
        await room.until(lambda: load_settings()[0].consent == "yes")
    async with open_room(novel, settings=load_settings()[0]) as room:
        assert room.app.screen is room.room


async def test_no_means_that_nothing_is_made(novel: Path) -> None:
    """safety 67"""
    async with open_room(novel, settings=Settings(), script=[FIRST], opened=False) as room:
        await room.dialog(Choice)
        await room.press("n")
        await room.until(lambda: load_settings()[0].consent == "no")
        await asked(room)
        await room.press("tab", "ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    assert not paths.library_path().exists()


@pytest.mark.usefixtures("agreed")
async def test_a_document_can_be_left_out(novel: Path) -> None:
    """safety 67"""
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        room.room.act("feedback.document_off")
        await room.until(lambda: "Nothing of this document" in room.line("status"))
        assert len(load_settings()[0].refusals) == 1
        await asked(room)
        await room.press("tab")
    assert history() == []


@pytest.mark.usefixtures("agreed")
async def test_a_page_that_is_left_out_stays_so_under_its_name(tmp_path: Path) -> None:
    """safety 67"""
    diary = tmp_path / "diary.md"
    async with open_room(None, script=[FIRST], settings=YES) as room:
        await room.press("I", "ctrl+end")
        room.room.act("feedback.document_off")
        await room.until(lambda: "Nothing of this document" in room.line("status"))
        await saved_as(room, diary)
        await room.until(lambda: len(load_settings()[0].refusals) == 2)
        await asked(room)
        await room.press("tab", "ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    assert history() == []
    log = FeedbackLog()
    with log.reading() as connection:
        assert connection is not None
        assert connection.execute("SELECT count(*) FROM provenance").fetchone()[0] == 0
    log.close()


@pytest.mark.usefixtures("agreed")
async def test_what_was_written_before_the_first_save_is_the_file_s(tmp_path: Path) -> None:
    draft = tmp_path / "draft.md"
    async with open_room(None, script=[FIRST], settings=YES) as room:
        await room.press("I")
        await asked(room)
        await room.press("tab")
        await room.until(lambda: "Kept" in room.line("status"))
        await saved_as(room, draft)
    (generation,) = history()
    assert generation.record.document == str(draft)
    assert generation.document_hash == name_hash(str(draft))


async def saved_as(room: OpenRoom, path: Path) -> None:
    await room.press("ctrl+s")
    entry = await room.dialog(Entry)
    entry.query_one(Input).value = str(path)
    await room.press("enter")
    await room.until(path.exists)


@pytest.mark.usefixtures("agreed")
async def test_a_library_that_breaks_is_one_warning_and_the_room_goes_on(novel: Path) -> None:
    """safety 65"""
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        paths.library_path().unlink()
        paths.library_path().mkdir()
        await asked(room)
        await room.press("tab")
        await room.until(lambda: room.text.endswith(FIRST))
        await room.until(lambda: room.said)
        assert len(room.said) == 1


@pytest.mark.usefixtures("agreed")
async def test_letters_typed_along_with_an_offer_are_one_piece(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        await asked(room)
        await room.press("space", "T", "h", "e", "ctrl+right")
        await room.until(lambda: "Kept" in room.line("status"))
    (take,) = history()[0].takes
    assert kinds(take) == ["view", "accept_partial", "accept_partial"]
    typed, word = take.events[1:]
    assert FIRST[typed.start : typed.end] == " The"
    assert typed.payload == {"piece": "typed"}
    assert FIRST[word.start : word.end] == " lamp"


@pytest.mark.usefixtures("agreed")
async def test_kept_text_is_looked_at_again_when_its_time_comes(novel: Path) -> None:
    now = [1000.0]
    async with open_room(novel, script=[FIRST], settings=YES) as room:
        room.room.witness._clock = lambda: now[0]
        await asked(room)
        await room.press("tab")
        await room.until(lambda: "Kept" in room.line("status"))
        assert room.room.witness.next_look == pytest.approx(15)
        await room.press(*["backspace"] * 13)
        now[0] += 16
        room.room._look()
        await room.until(lambda: "15" in history()[0].takes[0].survival)
        now[0] += 110
        room.room._look()
        await room.until(lambda: "120" in history()[0].takes[0].survival)
    survival = history()[0].takes[0].survival
    assert survival["15"].now == FIRST[:-13]
    assert survival["15"].elapsed_s == pytest.approx(16)
    assert "30" not in survival


@pytest.mark.usefixtures("agreed")
async def test_a_room_that_only_reads_leaves_the_writer_s_origins_alone(novel: Path) -> None:
    # safety 4
    first = DocumentLock()
    assert first.acquire(novel) is None
    async with open_room(novel, settings=YES, opened=False) as reader:
        await reader.dialog(Choice)
        await reader.press("r")
        await reader.until(lambda: "for reading" in reader.line("top"))
        first.release()
        await _accepted(novel)
    async with open_room(novel, settings=YES) as room:
        await room.until(lambda: list(room.room.page.provenance.spans()))


@pytest.mark.usefixtures("agreed")
async def test_a_room_whose_file_was_written_by_another_leaves_its_origins_alone(novel: Path) -> None:
    # safety 5
    async with open_room(novel, settings=YES):
        await _accepted(novel, opened=False)
    async with open_room(novel, settings=YES) as room:
        await room.until(lambda: list(room.room.page.provenance.spans()))


async def _accepted(novel: Path, *, opened: bool = True) -> None:
    """Another room accepts a take, saves it and closes."""
    async with open_room(novel, script=[SECOND], settings=YES, opened=opened) as room:
        if not opened:
            await room.dialog(Choice)
            await room.press("o")
        await asked(room)
        await room.press("tab", "ctrl+s")
        await room.until(lambda: room.room.session.saved_text.endswith(SECOND))
