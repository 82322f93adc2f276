"""Saving, opening and leaving, with every question that can come up on the way."""
# ruff: noqa: ASYNC240  a test looks at its files when it likes

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.widgets import Input

from storyteller.config import Settings
from storyteller.errors import DocumentError
from storyteller.manuscript.lock import DocumentLock
from storyteller.manuscript.recovery import find_recoveries
from storyteller.tui.dialogs.choice import Choice
from storyteller.tui.dialogs.compare import Compare
from storyteller.tui.dialogs.entry import Entry
from storyteller.tui.editor.find import Query
from tests.stubs.open_room import OpenRoom, open_room


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.\n", encoding="utf-8")
    return path


def read(path: Path) -> str:
    return path.read_bytes().decode()


async def answer_entry(room: OpenRoom, text: str) -> None:
    entry = await room.dialog(Entry)
    entry.query_one(Input).value = text
    await room.press("enter")


async def test_save_writes_the_page_and_says_so(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("x")
        assert "•" in room.line("top")
        await room.press("ctrl+s")
        await room.until(lambda: "Saved novel.md." in room.line("status"))
        assert "•" not in room.line("top")
    assert read(novel) == "xShe read it twice.\n"
    assert find_recoveries(novel) == []


async def test_an_open_offer_is_not_saved(novel: Path) -> None:
    async with open_room(novel, script=[" Then she left."]) as room:
        await room.press("ctrl+end", "tab")
        await room.stream()
        await room.press("ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    assert read(novel) == "She read it twice.\n"


async def test_undoing_everything_makes_the_page_clean_again(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("x", "ctrl+z")
        assert "•" not in room.line("top")


async def test_a_new_page_is_saved_under_a_name(tmp_path: Path) -> None:
    target = tmp_path / "new.md"
    async with open_room(None) as room:
        assert "untitled" in room.line("top")
        await room.press("H", "i", "ctrl+s")
        await answer_entry(room, str(target))
        await room.until(target.exists)
        await room.until(lambda: "new.md" in room.line("top"))
    assert read(target) == "Hi"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "Write the name"), ("nowhere/at/all.md", "There is no folder"), (".", "is a folder"), ("x" * 300, "is longer"),
        ("~nobody-at-all", "nobody called ~nobody-at-all"), ("~nobody-at-all/x.md", "nobody called ~nobody-at-all"),
    ],
)  # fmt: skip
async def test_a_name_that_cannot_be_used_is_explained(tmp_path: Path, name: str, says: str) -> None:
    async with open_room(None) as room:
        await room.press("H", "ctrl+s")
        await answer_entry(room, str(tmp_path / name) if name and name[0] != "~" else name)
        entry = await room.dialog(Entry)
        await room.until(lambda: says in str(entry.query_one(".alarm").render()))


async def test_save_as_asks_before_it_replaces(novel: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("Precious.", encoding="utf-8")
    async with open_room(novel) as room:
        await room.press("f12")
        await answer_entry(room, str(other))
        await room.dialog(Choice)
        assert read(other) == "Precious."
        await room.press("r")
        await room.until(lambda: "other.md" in room.line("top"))
    assert read(other) == "She read it twice.\n"
    assert read(novel) == "She read it twice.\n"


async def test_a_file_changed_by_others_is_compared_and_never_overwritten_silently(novel: Path) -> None:
    """safety 5"""
    async with open_room(novel) as room:
        await room.press("x")
        novel.write_text("Another program was here.\n", encoding="utf-8")
        await room.press("ctrl+s")
        compare = await room.dialog(Compare)
        shown = "\n".join(str(widget.render()) for widget in compare.query("Static"))
        assert "- Another program was here." in shown
        assert "+ xShe read it twice." in shown
        assert read(novel) == "Another program was here.\n"
        await room.press("o")
        await room.until(lambda: "Saved" in room.line("status"))
    assert read(novel) == "xShe read it twice.\n"


async def test_what_is_on_disk_can_be_taken_instead(novel: Path) -> None:
    """safety 5"""
    async with open_room(novel) as room:
        await room.press("x")
        novel.write_text("Another program was here.\n", encoding="utf-8")
        await room.press("ctrl+s")
        await room.dialog(Compare)
        await room.press("r")
        await room.until(lambda: room.text == "Another program was here.\n")
        assert "•" not in room.line("top")


async def test_takes_follow_their_place_into_what_is_on_disk(novel: Path) -> None:
    """safety 5"""
    async with open_room(novel, script=[" Then she left.", " And again."]) as room:
        await room.press("ctrl+end", "left", "tab")
        await room.stream()
        await room.press("ctrl+r")
        await room.stream()
        novel.write_text("Another line.\n\nShe read it twice.\n", encoding="utf-8")
        await room.press("ctrl+s")
        await room.dialog(Compare)
        await room.press("r")
        await room.until(lambda: room.text.startswith("Another"))
        assert not room.offered
        await room.press("ctrl+home", "f8")
        assert not room.offered
        await room.press("ctrl+end", "left", "f8", "tab")
        await room.until(lambda: room.text != "Another line.\n\nShe read it twice.\n")
        assert room.text in {
            f"Another line.\n\nShe read it twice.{take}\n" for take in (" Then she left.", " And again.")
        }


async def test_leaving_the_question_leaves_both(novel: Path) -> None:
    """safety 5"""
    async with open_room(novel) as room:
        await room.press("x")
        novel.write_text("Another program was here.\n", encoding="utf-8")
        await room.press("ctrl+s")
        await room.dialog(Compare)
        await room.press("escape")
        assert room.text == "xShe read it twice.\n"
        assert "•" in room.line("top")
    assert read(novel) == "Another program was here.\n"


async def test_a_file_that_is_gone_can_be_saved_again(novel: Path) -> None:
    """safety 6"""
    async with open_room(novel) as room:
        await room.press("x")
        novel.unlink()
        await room.press("ctrl+s")
        await room.dialog(Choice)
        await room.press("s")
        await room.until(novel.exists)
    assert read(novel) == "xShe read it twice.\n"


async def test_a_folder_that_is_gone_keeps_the_page(tmp_path: Path) -> None:
    """safety 6"""
    folder = tmp_path / "folder"
    folder.mkdir()
    novel = folder / "novel.md"
    novel.write_text("She read it twice.\n", encoding="utf-8")
    async with open_room(novel) as room:
        await room.press("x")
        novel.unlink()
        folder.rmdir()
        await room.press("ctrl+s")
        await room.dialog(Choice)
        await room.press("a")
        await answer_entry(room, str(tmp_path / "elsewhere.md"))
        await room.until((tmp_path / "elsewhere.md").exists)
    assert read(tmp_path / "elsewhere.md") == "xShe read it twice.\n"


async def test_coming_back_to_a_changed_file_is_noticed(novel: Path) -> None:
    """safety 5"""
    async with open_room(novel) as room:
        novel.write_text("Another program was here.\n", encoding="utf-8")
        from textual.events import AppBlur, AppFocus

        room.app.post_message(AppBlur())
        room.app.post_message(AppFocus())
        await room.until(lambda: "changed by another program" in room.line("status"))


async def test_a_second_instance_is_warned_and_reads_only(novel: Path) -> None:
    """safety 4"""
    first = DocumentLock()
    assert first.acquire(novel) is None
    try:
        async with open_room(novel, opened=False) as room:
            await room.dialog(Choice)
            await room.press("r")
            await room.until(lambda: "for reading" in room.line("top"))
            await room.press("x")
            assert room.text == "She read it twice.\n"
            await room.press("f4")  # finds and replaces elsewhere
            assert not room.room.finding
            assert await room.room.page.find(Query("twice")) == 1
            assert await room.room.page.find_next()
            assert not await room.room.page.replace_match("once")
            assert await room.room.page.replace_all("once") == 0
            assert room.text == "She read it twice.\n"
            await room.press("ctrl+s")
            await room.dialog(Entry)
    finally:
        first.release()


async def test_two_that_are_opened_anyway_never_overwrite_each_other_silently(novel: Path) -> None:
    """safety 4"""
    first = DocumentLock()
    assert first.acquire(novel) is None
    try:
        async with open_room(novel, opened=False) as room:
            await room.dialog(Choice)
            await room.press("o")
            await room.press("x")
            novel.write_text("The first one saved.\n", encoding="utf-8")
            await room.press("ctrl+s")
            await room.dialog(Compare)
        assert read(novel) == "The first one saved.\n"
    finally:
        first.release()


async def test_a_second_instance_may_leave_it_alone(novel: Path) -> None:
    """safety 4"""
    first = DocumentLock()
    assert first.acquire(novel) is None
    try:
        async with open_room(novel, opened=False) as room:
            await room.dialog(Choice)
            await room.press("q")
            assert await room.ended() == 0
    finally:
        first.release()


async def killed(novel: Path | None, *keys: str) -> None:
    """Type into a document and let the program end without a word."""
    async with open_room(novel) as room:
        await room.press(*keys)
        room.app.end_by_signal(15)
        await room.ended()


async def test_unsaved_text_is_offered_and_recovered_as_a_changed_page(novel: Path) -> None:
    """safety 2, 3"""
    await killed(novel, "x", "y")
    async with open_room(novel, opened=False) as room:
        compare = await room.dialog(Compare)
        assert "+ xyShe read it twice." in "\n".join(
            str(widget.render()) for widget in compare.query("Static")
        )
        await room.press("r")
        await room.until(lambda: room.text == "xyShe read it twice.\n")
        assert "•" in room.line("top")
        assert read(novel) == "She read it twice.\n"
        await room.press("ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    assert read(novel) == "xyShe read it twice.\n"
    assert find_recoveries(novel) == []


async def test_a_recovery_that_is_left_is_offered_again_and_one_discarded_is_not(novel: Path) -> None:
    await killed(novel, "x")
    async with open_room(novel, opened=False) as room:
        await room.dialog(Compare)
        await room.press("escape")
    assert len(find_recoveries(novel)) == 1
    async with open_room(novel, opened=False) as room:
        await room.dialog(Compare)
        await room.press("d")
    assert find_recoveries(novel) == []


async def test_a_recovered_page_that_is_killed_again_is_still_there(novel: Path) -> None:
    await killed(novel, "x")
    async with open_room(novel, opened=False) as room:
        await room.dialog(Compare)
        await room.press("r")
        await room.until(lambda: room.text.startswith("x"))
        room.app.end_by_signal(15)
        await room.ended()
    (recovery,) = find_recoveries(novel)
    assert recovery.text == "xShe read it twice.\n"


async def test_an_unnamed_page_is_recovered_too() -> None:
    await killed(None, "H", "i")
    async with open_room(None, opened=False) as room:
        await room.dialog(Compare)
        await room.press("r")
        await room.until(lambda: room.text == "Hi")


async def test_quitting_asks_only_when_something_is_not_saved(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+q")
        assert await room.ended() == 0


@pytest.mark.parametrize(
    ("key", "on_disk", "left"),
    [("s", "xShe read it twice.\n", 0), ("d", "She read it twice.\n", 0), ("k", "She read it twice.\n", 1)],
)
async def test_quitting_with_changes(novel: Path, key: str, on_disk: str, left: int) -> None:
    async with open_room(novel) as room:
        await room.press("x", "ctrl+q")
        await room.dialog(Choice)
        await room.press(key)
        assert await room.ended() == 0
    assert read(novel) == on_disk
    assert len(find_recoveries(novel)) == left


async def test_staying_is_staying(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("x", "ctrl+q")
        await room.dialog(Choice)
        await room.press("escape")
        assert room.text == "xShe read it twice.\n"
        assert room.app.return_code is None


async def test_another_file_takes_the_place_of_this_one(novel: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("Another tale.", encoding="utf-8")
    async with open_room(novel) as room:
        await room.press("ctrl+o")
        await answer_entry(room, str(other))
        await room.until(lambda: room.text == "Another tale.")
        assert "other.md" in room.line("top")
        assert DocumentLock().acquire(novel) is None


async def test_a_new_page_takes_the_place_of_this_one(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+n")
        await room.until(lambda: room.text == "")
        assert "untitled" in room.line("top")


async def test_the_file_that_is_open_can_be_opened_again(novel: Path) -> None:
    """safety 4"""
    async with open_room(novel) as room:
        before = room.room
        await room.press("ctrl+o")
        await answer_entry(room, str(novel))
        await room.until(lambda: room.app.room is not before and room.text != "")
        await room.press("x")
        assert room.text == "xShe read it twice.\n"
        assert DocumentLock().acquire(novel) is not None  # it is held again


async def test_what_cannot_be_opened_is_explained_and_the_page_stays(novel: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    async with open_room(novel) as room:
        await room.press("ctrl+o")
        await answer_entry(room, str(tmp_path / "pipe"))
        entry = await room.dialog(Entry)
        await room.until(lambda: str(entry.query_one(".alarm").render()) != "")
        await room.press("escape")
        assert room.text == "She read it twice.\n"


def test_a_directory_is_refused_before_the_screen_opens(tmp_path: Path) -> None:
    from storyteller.tui.session import DocumentSession

    with pytest.raises(DocumentError):
        DocumentSession.open(tmp_path)


@pytest.mark.parametrize(
    "name", ["\x1b[2J.md", "new\nline.md", "[/x].md", "[@click=app.quit]x[/].md", "-dash.md"]
)
async def test_hostile_file_names_are_shown_safely_and_saved(tmp_path: Path, name: str) -> None:
    """safety 16, 78"""
    path = tmp_path / name.replace("/", "∕")
    path.write_text("x", encoding="utf-8")
    async with open_room(path) as room:
        await room.press("y", "ctrl+q")
        choice = await room.dialog(Choice)
        shown = str(choice.query_one(".title").render())
        assert "\x1b" not in shown
        assert "\n" not in shown
        assert "\x1b" not in room.line("top")
        await room.press("s")
        assert await room.ended() == 0
    assert path.read_bytes() == b"yx"


async def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    """safety 16"""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.md"))
    path.write_bytes(b"x")
    async with open_room(path) as room:
        await room.press("y", "ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    assert path.read_bytes() == b"yx"


async def test_a_read_only_home_is_a_warning_and_the_room_works(novel: Path, home: Path) -> None:
    """safety 23"""
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file where the directory should be", encoding="utf-8")
    async with open_room(novel) as room:
        await room.press("x", "ctrl+s")
        await room.until(lambda: novel.read_text(encoding="utf-8").startswith("x"))
        await room.until(lambda: room.app.notices)


async def test_saving_right_behind_a_word_saves_the_word(novel: Path) -> None:
    from textual.events import Key

    async with open_room(novel) as room:
        for key in ("O", "n", "e"):
            room.app.post_message(Key(key, key))
        room.app.post_message(Key("ctrl+s", None))
        await room.until(lambda: "Saved" in room.line("status"))
    assert read(novel) == "OneShe read it twice.\n"


async def test_an_open_offer_outlives_a_save(novel: Path) -> None:
    async with open_room(novel, script=[" Then she left."]) as room:
        await room.press("ctrl+end", "tab")
        await room.stream()
        await room.press("ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
        assert room.offered == " Then she left."


async def test_autosave_saves_after_a_pause_and_leaves_questions_alone(novel: Path) -> None:
    settings = Settings(consent="no", autosave_s=0.05)
    async with open_room(novel, settings=settings) as room:
        await room.press("x")
        await room.until(lambda: read(novel).startswith("x"))
        assert "Saved" not in room.line("status")
        novel.write_text("Another program was here.\n", encoding="utf-8")
        await room.press("y")
        await room.until(lambda: "changed" in room.line("status"))
        assert room.app.screen is room.room
    assert read(novel) == "Another program was here.\n"


async def test_without_autosave_nothing_is_saved_by_itself(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("x")
        await room.pilot.pause(0.2)
    assert read(novel) == "She read it twice.\n"
