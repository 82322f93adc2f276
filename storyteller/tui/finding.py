"""A desk at which one can look for something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from storyteller.errors import UserError
from storyteller.tui.desk import Desk
from storyteller.tui.findbar import FindBar

if TYPE_CHECKING:
    from storyteller.tui.session import DocumentSession


class FindingDesk(Desk):
    """The find line asks, the page looks, the count stands beside the question."""

    def __init__(self, session: DocumentSession, *, focus: bool | None = None) -> None:
        super().__init__(session, focus=focus)
        self._focus_mode_waits = False  # until the find line goes

    @property
    def finding(self) -> bool:
        """Whether the find line has the keyboard."""
        return self.query_one(FindBar).has_focus_within

    @property
    def focus_mode(self) -> bool:
        """Whether it is on, or comes back when the find line goes."""
        return self._focus_mode_waits or self.has_class("-focus")

    async def open_find(self, *, replacing: bool) -> None:
        """Show the find line, with the selection in it."""
        self._focus_mode_waits = self.focus_mode
        self.set_focus_mode(on=False)
        self.query_one(FindBar).open(text=self.page.settled_selection, replacing=replacing)
        self.refresh_lines()

    async def step_find(self, by: int) -> None:
        """The next or previous match of what was looked for last."""
        bar = self.query_one(FindBar)
        if not bar.wanted.text:
            await self.open_find(replacing=False)
            return
        if not self.page.match_count:
            await self._find()
        await (self.page.find_next() if by > 0 else self.page.find_previous())
        self._report_matches()

    async def _find(self) -> None:
        bar = self.query_one(FindBar)
        try:
            await self.page.find(bar.wanted)
        except UserError as error:
            bar.report(error.message, alarm=True)
        else:
            self._report_matches()

    def _report_matches(self) -> None:
        bar, page = self.query_one(FindBar), self.page
        if not bar.wanted.text:
            bar.report("")
        elif page.match_number:
            bar.report(f"{page.match_number:,} of {page.match_count:,}")
        else:
            bar.report(f"{page.match_count:,} found" if page.match_count else "not found")

    @on(FindBar.Wanted)
    def _find_wanted(self) -> None:
        self.background(self._find, "find", exclusive=True)

    @on(FindBar.Stepped)
    def _find_stepped(self, event: FindBar.Stepped) -> None:
        self.background(self.step_find(event.by), "find step")

    @on(FindBar.Replaced)
    def _replace_wanted(self, event: FindBar.Replaced) -> None:
        self.background(self._replace(event), "find step")

    async def _replace(self, event: FindBar.Replaced) -> None:
        bar, page = self.query_one(FindBar), self.page
        try:
            if event.everywhere:
                bar.report(f"{await page.replace_all(event.text):,} replaced")
            elif await page.replace_match(event.text):
                self._report_matches()
            else:
                await self.step_find(1)
        except UserError as error:
            bar.report(error.message, alarm=True)

    def close_find(self) -> None:
        """The find line goes, and what it marked on the page."""
        self.query_one(FindBar).action_leave()

    @on(FindBar.Left)
    def _find_left(self) -> None:
        if self._focus_mode_waits:
            self._focus_mode_waits = False
            self.set_focus_mode(on=True)
        self.page.clear_find()
        self.page.focus()
        self.refresh_lines()
