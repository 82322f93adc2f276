"""What is wrong before the room is there is said when it is, and can be read again; text that was never saved is found."""
# ruff: noqa: ASYNC240  a test looks at its files when it likes

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from storyteller.config import Settings
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.log import FeedbackLog
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.shelf import journals_of
from storyteller.tui.dialogs.compare import Compare
from storyteller.tui.keymap import keymap_path
from tests.stubs.open_room import OpenRoom, open_room

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("Old.", encoding="utf-8")
    return path


def leave_unsaved(path: Path, text: str) -> None:
    loaded = load(path)
    journal = Journal.open(path, loaded.text, loaded.fingerprint, encoding=loaded.encoding)
    journal.update(text, (0, len(text)))
    journal.flush(5)
    journal.close(discard=False)


def changed_later(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    later = time.time() + 60
    os.utime(path, (later, later))


async def test_every_mistake_in_the_key_map_can_be_read(novel: Path) -> None:
    keymap_path().parent.mkdir(parents=True)
    keymap_path().write_text('[file]\nsave = 5\n[offer]\nnonsense = "f4"\n', encoding="utf-8")
    async with open_room(novel) as room:
        assert "2 things" in room.line("status")
        assert "F10" in room.line("status")
        assert sum("keymap.toml" in notice for notice in room.app.notices) == 2


async def test_one_mistake_is_said_itself_and_can_be_read_again(novel: Path) -> None:
    async with open_room(novel, settings=Settings(consent="no", theme="nosuch")) as room:
        assert "no theme nosuch" in room.line("status")
        assert sum("no theme nosuch" in notice for notice in room.app.notices) == 1


async def test_a_damaged_journal_is_told(novel: Path) -> None:
    # safety 18
    leave_unsaved(novel, "Never saved.")
    (place,) = journals_of(novel)
    place.write_bytes(place.read_bytes()[:60])
    async with open_room(novel) as room:
        assert any("is damaged" in notice for notice in room.app.notices), room.app.notices


async def test_what_is_older_than_the_file_is_found_through_the_palette_and_can_be_undone(
    novel: Path,
) -> None:
    # safety 19
    leave_unsaved(novel, "Never saved.")
    changed_later(novel, "Newer.")
    async with open_room(novel) as room:
        assert room.app.screen is room.room, "what is older is not worth a question at the start"
        room.room.act("file.recover")
        await room.dialog(Compare)
        await room.press("r")
        await room.until(lambda: room.text == "Never saved.")
        assert "•" in room.line("top")
        await room.press("ctrl+z")
        assert room.text == "Newer."
    assert find_recoveries(novel, include_older=True) == []


async def test_where_nothing_was_kept_it_says_so(novel: Path) -> None:
    async with open_room(novel) as room:
        room.room.act("file.recover")
        await room.until(lambda: "Nothing was kept" in room.line("status"))


async def test_a_yes_in_the_settings_holds_for_a_new_library(novel: Path) -> None:
    async with open_room(novel, settings=Settings(consent="yes")) as room:
        assert await room.app.feedback.consent(EVERYTHING) is True


async def test_a_no_in_the_library_outweighs_a_yes_in_the_settings(novel: Path) -> None:
    log = FeedbackLog()
    log.set_consent(EVERYTHING, on=True)
    log.set_consent(EVERYTHING, on=False)
    log.close()
    async with open_room(novel, settings=Settings(consent="yes")) as room:
        assert await room.app.feedback.consent(EVERYTHING) is False


async def test_a_journal_that_fails_later_is_told_once(novel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # safety 7
    async with open_room(novel) as room:
        await room.press("x")
        full = "The recovery journal cannot be written (No space left on device)."
        monkeypatch.setattr(Journal, "trouble", property(lambda _: full))
        await room.press("y", "z")
        await room.until(lambda: "No space left" in room.line("status"))
        assert room.app.notices.count(full) == 1
        assert room.text == "xyzOld."


async def recover_and_save(room: OpenRoom, text: str) -> None:
    await room.press("r")
    await room.until(lambda: room.text == text)
    await room.press("ctrl+s")
    await room.until(lambda: "Saved" in room.line("status"))


async def test_what_comes_through_the_palette_comes_to_the_letter(novel: Path) -> None:
    # safety 24
    novel.write_bytes(b"a\r\nb\r\n")
    leave_unsaved(novel, "a\r\nb\r\nc\nd\r")
    changed_later(novel, "x\r\n")
    async with open_room(novel) as room:
        room.room.act("file.recover")
        await room.dialog(Compare)
        await recover_and_save(room, "a\r\nb\r\nc\nd\r")
    assert novel.read_bytes() == b"a\r\nb\r\nc\nd\r"


async def test_a_file_that_became_utf8_stays_so_when_text_is_recovered(novel: Path) -> None:
    # safety 24
    novel.write_bytes("déjà".encode("latin-1"))
    leave_unsaved(novel, "déjà vu")
    novel.write_bytes("déjà".encode())
    os.utime(novel, (1, 1))
    async with open_room(novel, opened=False) as room:
        await room.dialog(Compare)
        await recover_and_save(room, "déjà vu")
    assert novel.read_bytes() == "déjà vu".encode()


@pytest.mark.parametrize("through_the_palette", [False, True])
async def test_a_file_that_is_gone_comes_back_in_its_own_encoding(
    novel: Path, *, through_the_palette: bool
) -> None:
    # safety 6, 24
    novel.write_bytes("déjà".encode("latin-1"))
    leave_unsaved(novel, "déjà vu")
    novel.unlink()
    async with open_room(novel, opened=False) as room:
        await room.dialog(Compare)
        if through_the_palette:
            await room.press("escape")
            room.room.act("file.recover")
            await room.dialog(Compare)
        await recover_and_save(room, "déjà vu")
    assert novel.read_bytes() == "déjà vu".encode("latin-1")
