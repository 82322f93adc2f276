"""The command palette: every act that can be done now, from the same table as the keys and the help."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Provider
from textual.content import Content

from storyteller.tui.acts import ACTS
from storyteller.tui.room import Room

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.command import Hits

    from storyteller.tui.acts.act import Act


class ActProvider(Provider):
    """Finds acts by their titles."""

    async def search(self, query: str) -> Hits:
        """Acts whose title resembles `query`, the closest first."""
        matcher = self.matcher(query)
        for room, act in self._acts():
            score = matcher.match(f"{act.title} {act.about}")
            if score > 0:
                yield Hit(
                    score, self._shown(room, act), partial(room.act, act.id), text=act.title, help=act.about
                )

    async def discover(self) -> Hits:
        """All of them."""
        for room, act in self._acts():
            yield DiscoveryHit(
                self._shown(room, act), partial(room.act, act.id), text=act.title, help=act.about
            )

    def _acts(self) -> Iterator[tuple[Room, Act]]:
        room = self.screen
        if isinstance(room, Room):
            yield from ((room, act) for act in ACTS if act.listed and act.when(room))

    def _shown(self, room: Room, act: Act) -> Content:
        key = room.keymap.shown(act)
        return Content.assemble(act.title, (f"   {key}" if key else "", "$room-muted"))
