"""A draft one can search: matches are lit, walked through and replaced."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from storyteller.tui.editor.draft import Replacement
from storyteller.tui.editor.editable import Editable
from storyteller.tui.editor.find import Matches, Query, search
from storyteller.tui.editor.painting import Layer

if TYPE_CHECKING:
    from storyteller.manuscript.provenance import Origin, Provenance
    from storyteller.tui.editor.messages import Cause


class Searchable(Editable, inherit_bindings=False):
    """Find and replace over the settled text."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"page--match", "page--current-match"}

    def __init__(self, **options: Any) -> None:
        self._query: Query | None = None
        self._matches = Matches()
        self._stale = False
        super().__init__(**options)

    def load(self, text: str, *, provenance: Provenance | None = None, caret: int = 0) -> None:
        """Show another text, with no search."""
        self._query = None
        self._matches = Matches()
        super().load(text, provenance=provenance, caret=caret)

    @property
    def match_count(self) -> int:
        """How many matches are lit."""
        return len(self._matches)

    @property
    def match_number(self) -> int:
        """Which match is selected, counted from 1; 0 for none."""
        selected = tuple(sorted(self._offsets(self.selection)))
        spans = self._matches.between(*selected)
        return self._matches.spans.index(spans[0]) + 1 if spans and spans[0] == selected else 0

    async def find(self, query: Query) -> int:
        """Light every match and return how many there are. The caret stays.

        Raises:
            UserError: the pattern is no regular expression, or takes too long.
        """
        self._query = query
        await self._search()
        return len(self._matches)

    async def find_next(self) -> bool:
        """Select the first match after the caret, from the top again past the last; False without any."""
        await self._refind()
        return self._select_match(self._matches.at_or_after(self.settled_cursor))

    async def find_previous(self) -> bool:
        """Select the last match before the selection, from the bottom again past the first."""
        await self._refind()
        return self._select_match(self._matches.before(min(self._offsets(self.selection))))

    async def replace_match(self, replacement: str) -> bool:
        """Replace the selected match and go to the next; False if none is selected, or the page is only read.

        Raises:
            UserError: as `find`, or the replacement names a group the pattern does not have.
        """
        if self.read_only:
            return False
        selected = tuple(sorted(self._offsets(self.selection)))
        found = await self._found(replacement)
        for span, text in zip(found.spans, found.texts, strict=True):
            if span == selected:
                self.replace_spans([Replacement(*span, text)])
                await self.find_next()
                return True
        return False

    async def replace_all(self, replacement: str) -> int:
        """Replace every match as one step of the history; returns how many, none on a page that is only read.

        Raises as `replace_match`.
        """
        if self.read_only:
            return 0
        found = await self._found(replacement)
        pairs = zip(found.spans, found.texts, strict=True)
        self.replace_spans([Replacement(start, end, text) for (start, end), text in pairs])
        await self._search()
        return len(found)

    def clear_find(self) -> None:
        """Put the lights out."""
        self._query = None
        self._matches = Matches()
        self.refresh()

    async def _refind(self) -> None:
        if self._stale:
            await self._search()

    async def _search(self) -> None:
        self._matches = await self._found()
        self._stale = False
        self.refresh()

    async def _found(self, replacement: str | None = None) -> Matches:
        """What the query finds in the text as it stands when the search is done."""
        while self._query is not None:
            query, text, revision = self._query, self.exact_text, self.revision
            if query.regex:
                found = await asyncio.to_thread(search, text, query, replacement)
            else:
                found = search(text, query, replacement)
            if query == self._query and revision == self.revision:
                return found
        return Matches()

    def _select_match(self, index: int) -> bool:
        if not self._matches:
            return False
        self.select_span(*self._matches.spans[index], center=True)
        return True

    def _edited(self, start: int, removed: int, added: int, origin: Origin, cause: Cause) -> None:
        super()._edited(start, removed, added, origin, cause)
        if self._query is not None:
            self._matches = self._matches.shifted(start, removed, added)
            self._stale = True

    def _mark_layers(self, row: int, start: int, end: int) -> list[Layer]:
        if not self._matches:
            return []
        base = self.document.row_start(row)
        settled, placed = self._provisional.settled, self._provisional.placed
        selected = tuple(sorted(self._offsets(self.selection)))
        lit: list[Layer] = []
        for span in self._matches.between(settled(base + start), settled(base + end)):
            name = "page--current-match" if span == selected else "page--match"
            first, last = placed(span[0], after=True) - base, placed(span[1]) - base
            lit.append(Layer(first, last, self.get_component_rich_style(name, partial=True)))
        return lit
