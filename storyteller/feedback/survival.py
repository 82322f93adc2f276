"""What becomes of accepted text: where it now stands, when to look again, and how much of it is left.

Nothing here waits or keeps time. The app reports what was accepted and edited and asks `due(now, text)` on a timer
of its own, `now` being `time.monotonic()`. What it gets are sightings, cheap to take and measured elsewhere:
`FeedbackWriter.sightings` measures them in its thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.feedback.records import Horizon, Survival
from storyteller.manuscript.likeness import characters_kept, edit_distance, four_gram_overlap

if TYPE_CHECKING:
    from collections.abc import Iterable

_HORIZONS: Final[tuple[tuple[float, Horizon], ...]] = (
    (15.0, "15"),
    (30.0, "30"),
    (120.0, "120"),
    (300.0, "300"),
    (600.0, "600"),
)
STANDS_UP_TO: Final = 0.5  # of its own length edited; Copilot counts more than that as gone


class Sighting(msgspec.Struct, frozen=True):
    """The accepted text of a take, and the text that stands in its place `elapsed_s` after it was accepted."""

    take: str
    horizon: Horizon
    accepted: str
    now: str
    elapsed_s: float


def measure(sighting: Sighting) -> Survival:
    """What is left of an accepted text."""
    accepted, now = sighting.accepted, sighting.now
    return Survival(
        take=sighting.take,
        horizon=sighting.horizon,
        elapsed_s=sighting.elapsed_s,
        length=len(accepted),
        kept=characters_kept(accepted, now),
        overlap=four_gram_overlap(accepted, now),
        distance=edit_distance(accepted, now),
        now=now,
    )


def stands(survival: Survival) -> bool:
    """Whether the text counts as kept: something of it is left, and at most half of its length was edited."""
    return survival.kept > 0 and survival.distance <= STANDS_UP_TO


class Place(msgspec.Struct):
    """Where an accepted text stands: `start` to `end`, in characters of the settled text."""

    start: int
    end: int

    def text_in(self, text: str) -> str:
        r"""What stands there in `text`, with `\n` for every line end: as a take has it, whatever the file's are."""
        return text[self.start : self.end].replace("\r\n", "\n").replace("\r", "\n")

    def shift(self, start: int, removed: int, added: int) -> None:
        """Follow an edit: what replaces characters inside the place belongs to it, what crosses its edge does not.

        Text put in exactly at an edge is outside; text that replaces the place as a whole is inside.
        """
        end, grown = start + removed, added - removed
        if start >= self.end and (removed or start > self.start):
            return
        if end <= self.start:
            self.start += grown
            self.end += grown
        elif self.start <= start and end <= self.end:
            self.end += grown
        elif start >= self.start:  # its last part is gone
            self.end = start
        elif end < self.end:  # its first part is gone
            self.start, self.end = start + added, self.end + grown
        else:  # all of it is gone
            self.start = self.end = start


class _Watched(msgspec.Struct):
    accepted: str
    place: Place
    since: float
    looked: float = 0.0  # the longest horizon already seen, in seconds


class SurvivalWatch:
    """The accepted texts of one document that are still to be looked at."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def accepted(self, take: str, place: Place, text: str, now: float) -> None:
        """`text` of a take now stands at `place`, which is longer where a line ends with two characters.

        A piece that follows on the take's earlier ones joins them, and the horizons count from the last piece. Called
        after `shifted` was told of the insertion.
        """
        before = self._watched.get(take)
        if before is not None and before.place.end == place.start:
            before.accepted += text
            before.place.end = place.end
            before.since, before.looked = now, 0.0
        else:
            self._watched[take] = _Watched(text, place, now)

    def given_back(self, take: str, text: str) -> None:
        """The last accepted piece of a take, `text`, was taken out again. Called after `shifted` was told of it."""
        watched = self._watched.get(take)
        if watched is None:
            return
        watched.accepted = watched.accepted[: max(0, len(watched.accepted) - len(text))]
        if not watched.accepted:
            self.forget(take)

    def forget(self, take: str) -> None:
        """An acceptance was undone: there is nothing left to watch."""
        self._watched.pop(take, None)

    def shifted(self, start: int, removed: int, added: int) -> None:
        """The settled text was edited: `removed` characters from `start` gave way to `added`."""
        for watched in self._watched.values():
            watched.place.shift(start, removed, added)

    def next_due(self) -> float | None:
        """The moment of the next look; None where none is left but those at a save and at the end."""
        moments = (
            watched.since + seconds
            for watched in self._watched.values()
            for seconds, _ in _HORIZONS
            if seconds > watched.looked
        )
        return min(moments, default=None)

    def due(self, now: float, text: str) -> list[Sighting]:
        """What is to be seen now in `text`, the whole settled text.

        Of several horizons that passed since the last call only the last is seen: for the others it is too late.
        """
        seen = []
        for take, watched in self._watched.items():
            passed = [
                (seconds, horizon)
                for seconds, horizon in _HORIZONS
                if watched.looked < seconds <= now - watched.since
            ]
            if passed:
                watched.looked, horizon = passed[-1]
                seen.append(_sighting(take, watched, horizon, now, text))
        return seen

    def saved(self, now: float, text: str) -> list[Sighting]:
        """Everything watched, as it is saved."""
        return [_sighting(take, watched, "save", now, text) for take, watched in self._watched.items()]

    def closed(self, now: float, text: str) -> list[Sighting]:
        """Everything watched, as the document is closed."""
        return [_sighting(take, watched, "close", now, text) for take, watched in self._watched.items()]

    def places(self) -> Iterable[tuple[str, int, int]]:
        """The take, start and end of everything watched, in the order it was accepted."""
        return ((take, watched.place.start, watched.place.end) for take, watched in self._watched.items())


def _sighting(take: str, watched: _Watched, horizon: Horizon, now: float, text: str) -> Sighting:
    return Sighting(take, horizon, watched.accepted, watched.place.text_in(text), now - watched.since)
