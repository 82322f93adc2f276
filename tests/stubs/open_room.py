"""A room on a headless screen with a scripted engine: what most tests of the screen begin with."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from storyteller.config import Settings
from storyteller.engine.fake import FakeEngine
from storyteller.engine.protocol import Load
from storyteller.feedback.consent import refusals_in
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.writer import FeedbackWriter
from storyteller.tui.app import StorytellerApp
from storyteller.tui.dialogs.choice import Choice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from textual.message import Message
    from textual.pilot import Pilot
    from textual.screen import Screen

    from storyteller.engine.fake import Reply
    from storyteller.tui.room import Room

_T = TypeVar("_T")
QUIET = Settings(consent="no")


class OpenRoom:
    """The app while a test runs, with its pilot, its engine and every message that was posted."""

    def __init__(
        self, app: StorytellerApp, engine: FakeEngine, pilot: Pilot[None], messages: list[Message]
    ) -> None:
        self.app = app
        self.engine = engine
        self.pilot = pilot
        self.messages = messages
        self.said: list[str] = []  # warnings of the feedback log

    @property
    def room(self) -> Room:
        """The room, under whatever dialogs."""
        room = self.app.room
        assert room is not None
        return room

    @property
    def text(self) -> str:
        """The settled text of the page."""
        return self.room.page.exact_text

    @property
    def offered(self) -> str:
        """What is provisional."""
        offer = self.room.page.offer
        return offer.text if offer is not None and self.room.page.offer_open else ""

    def line(self, name: str) -> str:
        """What the line `top`, `status` or `hints` shows."""
        from storyteller.tui.lines import Line

        return self.room.query_one(f"#{name}", Line).text

    async def press(self, *keys: str) -> None:
        """Press keys and let everything they cause happen."""
        await self.pilot.press(*keys)
        await self.settle()

    async def settle(self) -> None:
        """Until no message waits."""
        await self.pilot.pause()

    async def until(self, holds: Callable[[], _T], *, turns: int = 200) -> _T:
        """Let things happen until `holds` is true; fails the test if that never comes."""
        for _ in range(turns):
            await self.settle()
            if value := holds():
                return value
        raise AssertionError(f"it never came about; the status line says {self.line('status')!r}")

    async def ended(self) -> int:
        """The exit code, once the app has ended by itself."""
        async with asyncio.timeout(10):
            while self.app.is_running:  # noqa: ASYNC110 - Textual has no event for it
                await asyncio.sleep(0.01)
        return self.app.return_code or 0

    async def stream(self, tokens: int = 1000) -> None:
        """Let the engine send so many tokens, and the room take them in."""
        await self.engine.step(tokens)
        await self.until(lambda: self.room.prompter.asking is None or tokens < 1000)

    async def dialog(self, kind: type[Screen[_T]]) -> Screen[_T]:
        """The dialog of this kind, once it is open."""
        await self.until(lambda: isinstance(self.app.screen, kind))
        screen = self.app.screen
        assert isinstance(screen, kind)
        return screen


@asynccontextmanager
async def open_room(
    document: Path | None = None,
    *,
    script: Sequence[Reply | str] = (),
    settings: Settings = QUIET,
    size: tuple[int, int] = (100, 30),
    pace: float | None = None,
    slow_load: bool = False,
    opened: bool = True,
    first_moment_s: float = 0.0,
) -> AsyncIterator[OpenRoom]:
    """The app with `document` open.

    Args:
        document: the file; None for a page without a name.
        script: what the engine answers.
        settings: the writer's; without a question about consent unless told so.
        size: of the screen.
        pace: as of `FakeEngine`; None waits for `OpenRoom.stream`.
        slow_load: the model stays in the middle of loading.
        opened: wait until nothing more is asked; False where the test answers a dialog.
        first_moment_s: for which a question that comes by itself hears nothing.
    """
    as_shipped, Choice.FIRST_MOMENT_S = Choice.FIRST_MOMENT_S, first_moment_s
    engine = FakeEngine(script, pace=pace, slow_load=slow_load)
    await engine.start(Load(id="room"))
    messages: list[Message] = []
    said: list[str] = []
    feedback = FeedbackWriter(
        FeedbackLog(refusals=refusals_in(settings.consent, settings.refusals)), warn=said.append
    )
    app = StorytellerApp(engine, document, settings, feedback)
    try:
        async with app.run_test(size=size, message_hook=messages.append) as pilot:
            room = OpenRoom(app, engine, pilot, messages)
            room.said = said
            await pilot.pause()
            if opened:
                await room.until(lambda: not any(worker.name == "opening" for worker in app.workers))
            yield room
    finally:
        Choice.FIRST_MOMENT_S = as_shipped
        await engine.close()
        feedback.close_now()
