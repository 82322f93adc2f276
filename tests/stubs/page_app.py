"""An app that is nothing but a page, and hears everything the page says."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from textual.app import App, ComposeResult

from storyteller.tui.editor.messages import PageMessage
from storyteller.tui.editor.page import Page
from storyteller.tui.editor.wrap import Wrap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.message import Message
    from textual.pilot import Pilot

Heard = TypeVar("Heard", bound=PageMessage)


class PageApp(App[None]):
    """One page over the whole screen; `heard` are its messages in order."""

    def __init__(self, text: str = "", *, caret: int = 0) -> None:
        super().__init__()
        self.page = Page(text, caret=caret, id="page", placeholder="Write, then press Tab.")
        self.heard: list[PageMessage] = []

    def compose(self) -> ComposeResult:
        yield self.page

    def on_mount(self) -> None:
        self.page.focus()

    def heard_of(self, kind: type[Heard]) -> list[Heard]:
        """The messages of one kind, in order."""
        return [message for message in self.heard if isinstance(message, kind)]


@asynccontextmanager
async def open_page(
    text: str = "", *, caret: int = 0, size: tuple[int, int] = (60, 20)
) -> AsyncIterator[tuple[Page, Pilot[None], PageApp]]:
    """A page on a screen of `size`, with the focus."""
    app = PageApp(text, caret=caret)

    async with app.run_test(size=size, message_hook=lambda message: hear(app, message)) as pilot:
        await pilot.pause()
        yield app.page, pilot, app


def hear(app: PageApp, message: Message) -> None:
    """Keep a page's message, once, however many widgets it passes."""
    if isinstance(message, PageMessage) and not any(message is other for other in app.heard):
        app.heard.append(message)


def painted(page: Page) -> list[str]:
    """The lines of the window as they are painted."""
    return [page.render_line(y).text.rstrip() for y in range(page.size.height)]


def assert_whole(page: Page) -> None:
    """The tables under the page are those of a page that was just opened with its text."""
    wrap = page.wrapped_document
    fresh = Wrap(page.document, wrap.width, wrap.tab_width)
    rows = range(page.document.line_count)
    assert [list(wrap.get_offsets(row)) for row in rows] == [list(fresh.get_offsets(row)) for row in rows]
    assert [wrap.y_of(row) for row in rows] == [fresh.y_of(row) + wrap.lead for row in rows]
    assert wrap.height == fresh.height + wrap.lead + wrap.trail == page.virtual_size.height
    assert wrap.width == page.wrap_width
    assert page.provenance.length == len(page.exact_text) == page.settled_length
