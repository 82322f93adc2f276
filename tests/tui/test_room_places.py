"""Where a page goes when its place is gone, or is somebody else's."""
# ruff: noqa: ASYNC240  a test looks at its files when it likes

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from storyteller.errors import DocumentError
from storyteller.manuscript.lock import DocumentLock
from storyteller.manuscript.recovery import find_recoveries
from storyteller.tui.dialogs.choice import Choice
from storyteller.tui.dialogs.compare import Compare
from storyteller.tui.dialogs.entry import Entry
from storyteller.tui.session import DocumentSession
from tests.stubs.open_room import OpenRoom, open_room

OLD = "She read it twice.\n"


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text(OLD, encoding="utf-8")
    return path


@pytest.fixture
def gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder one works in, which goes as soon as it is removed."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


async def answer_entry(room: OpenRoom, text: str) -> Entry:
    entry = await room.dialog(Entry)
    assert isinstance(entry, Entry)
    entry.query_one(Input).value = text
    await room.press("enter")
    return entry


async def refused(room: OpenRoom, entry: Entry, words: str) -> None:
    await room.until(lambda: words in str(entry.query_one(".alarm").render()))


@pytest.mark.parametrize("key", ["ctrl+s", "f12"])
async def test_without_a_working_folder_a_page_is_saved_elsewhere(
    gone: Path, tmp_path: Path, key: str
) -> None:
    """safety 6"""
    async with open_room(None) as room:
        gone.rmdir()
        await room.press("H", "i", key)
        entry = await answer_entry(room, "here.md")
        await refused(room, entry, "does not exist")
        await answer_entry(room, str(tmp_path / "there.md"))
        await room.until((tmp_path / "there.md").exists)


async def test_without_a_working_folder_a_file_is_opened(gone: Path, novel: Path) -> None:
    """safety 6"""
    async with open_room(None) as room:
        gone.rmdir()
        await room.press("ctrl+o")
        entry = await answer_entry(room, "here.md")
        await refused(room, entry, "does not exist")
        await answer_entry(room, str(novel))
        await room.until(lambda: room.text == OLD)


def test_without_a_working_folder_a_document_of_it_is_refused(gone: Path) -> None:
    """safety 6"""
    gone.rmdir()
    with pytest.raises(DocumentError, match="does not exist"):
        DocumentSession.open(Path("here.md"))


async def test_what_vanished_while_the_two_were_compared_is_not_taken(novel: Path) -> None:
    """safety 5, 6"""
    async with open_room(novel) as room:
        await room.press("x")
        novel.write_text("Another program was here.\n", encoding="utf-8")
        await room.press("ctrl+s")
        await room.dialog(Compare)
        novel.unlink()
        await room.press("r")
        await room.until(lambda: "is gone" in room.line("status"))
        assert room.text == f"x{OLD}"
        assert "•" in room.line("top")
        room.app.end_by_signal(15)
        await room.ended()
    (recovery,) = find_recoveries(novel)
    assert recovery.text == f"x{OLD}"


async def test_a_page_that_is_only_read_here_is_not_written_over_its_own_file(
    novel: Path, tmp_path: Path
) -> None:
    """safety 4"""
    link = tmp_path / "link.md"
    link.symlink_to(novel)
    first = DocumentLock()
    assert first.acquire(novel) is None
    try:
        async with open_room(novel, opened=False) as room:
            await room.dialog(Choice)
            await room.press("r")
            await room.until(lambda: "for reading" in room.line("top"))
            await room.press("ctrl+s")
            for own in (novel, link):
                entry = await answer_entry(room, str(own))
                await refused(room, entry, "another name")
            await room.press("escape", "ctrl+s")
            suggested = (await room.dialog(Entry)).query_one(Input).value
            other = Path(suggested)
            assert other.parent == novel.parent
            assert not other.exists()
            await room.press("enter")
            await room.until(other.exists)
            await room.until(lambda: other.name in room.line("top"))
            assert not room.room.page.read_only
            assert novel.read_text(encoding="utf-8") == OLD
    finally:
        first.release()


async def test_a_name_that_another_storyteller_has_open_is_told(novel: Path, tmp_path: Path) -> None:
    """safety 4"""
    other = tmp_path / "other.md"
    other.write_text("Precious.", encoding="utf-8")
    first = DocumentLock()
    assert first.acquire(other) is None
    try:
        async with open_room(novel) as room:
            await room.press("f12")
            await answer_entry(room, str(other))
            await room.dialog(Choice)
            await room.press("r")
            await room.until(lambda: "open in another storyteller" in room.line("status"))
    finally:
        first.release()
