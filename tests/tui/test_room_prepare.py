"""The engine reads the page while the caret rests, so that Tab is answered at once, and stops at the next key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storyteller.engine.protocol import Prepare
from storyteller.tui import asking
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stubs.open_room import OpenRoom

TAKE = " The lamp burned low."


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.\n\nThen she left.", encoding="utf-8")
    return path


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caret rests as soon as no message waits."""
    monkeypatch.setattr(asking, "PREPARE_AFTER_S", 0.001)


@pytest.fixture
def endless_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caret never rests."""
    monkeypatch.setattr(asking, "PREPARE_AFTER_S", 3600.0)


def prepared(room: OpenRoom) -> list[Prepare]:
    return [request for request in room.engine.received if isinstance(request, Prepare)]


async def the_next(room: OpenRoom, before: int) -> Prepare:
    await room.until(lambda: len(prepared(room)) > before)
    return prepared(room)[-1]


@pytest.mark.usefixtures("no_pause")
async def test_what_was_opened_is_read_before_anything_is_typed(novel: Path) -> None:
    async with open_room(novel) as room:
        request = await the_next(room, 0)
        assert request.context == room.room.prompter.context(room.room.manner)
        assert request.max_tokens == room.room.manner.max_tokens


@pytest.mark.usefixtures("no_pause")
async def test_a_model_that_is_opened_later_reads_the_page_then(novel: Path) -> None:
    async with open_room(novel, slow_load=True) as room:
        await room.press("x")
        assert not prepared(room)
        room.engine.finish_loading()
        assert (await the_next(room, 0)).context == room.room.prompter.context(room.room.manner)


@pytest.mark.usefixtures("no_pause")
async def test_typing_and_moving_the_caret_are_followed_by_a_reading(novel: Path) -> None:
    async with open_room(novel) as room:
        await the_next(room, 0)
        before = len(prepared(room))
        await room.press("ctrl+end")
        moved = await the_next(room, before)
        assert moved.context.text == room.text
        before = len(prepared(room))
        await room.press("!")
        assert (await the_next(room, before)).context.text == moved.context.text + "!"


@pytest.mark.usefixtures("no_pause")
async def test_another_genre_is_read_with_its_header_and_adapter(novel: Path) -> None:
    from storyteller.genres import shipped_genres

    async with open_room(novel) as room:
        await the_next(room, 0)
        before = len(prepared(room))
        genre = next(genre for name, genre in shipped_genres().items() if name != room.room.manner.genre)
        room.room.use_genre(genre, None)
        request = await the_next(room, before)
        assert request.context.header == genre.prompt_hint
        assert request.adapters == room.room.prompter.adapters


@pytest.mark.usefixtures("no_pause")
async def test_while_the_writer_reads_a_take_its_place_is_read_again(novel: Path) -> None:
    """The take stays in the engine's cache; what a slide of the window will show comes beside it."""
    async with open_room(novel, script=[TAKE]) as room:
        await room.press("ctrl+end")
        await room.press("tab")
        await room.engine.step(2)
        await room.settle()
        before = len(prepared(room))
        await room.press("f1", "escape")  # whatever happens meanwhile, a stream is not disturbed
        assert len(prepared(room)) == before
        await room.stream()
        request = await the_next(room, before)
        assert room.offered == TAKE
        assert request.context.text == room.text


@pytest.mark.usefixtures("endless_pause")
async def test_nothing_is_read_before_the_pause(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+end", "!", "?", "left")
        assert not prepared(room)


@pytest.mark.usefixtures("endless_pause")
@pytest.mark.parametrize("key", ["!", "left"])
async def test_the_next_key_stops_a_reading_once(
    novel: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+end")
        room.room._prepare()
        await room.settle()
        stopped: list[str] = []

        async def cancel(request_id: str, take: int | None = None) -> None:
            stopped.append(request_id)

        monkeypatch.setattr(room.engine, "cancel", cancel)
        await room.press(key)
        [request] = prepared(room)
        assert stopped == [request.id]
        await room.press(key)
        assert stopped == [request.id]
