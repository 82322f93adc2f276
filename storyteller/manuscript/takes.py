"""Every take that was shown, at the spot of the text where it was offered. Spots move as the text is edited.

In memory only; `feedback.shelf` keeps takes in the library where the writer agreed to it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import chain
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import field

from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    from collections.abc import Iterator


class ShownTake(msgspec.Struct, frozen=True, kw_only=True):
    """A take and what made it. `anchor` is the offset its text was offered at, in characters of the settled text."""

    id: str = field(default_factory=uuid7)
    generation: str
    index: int
    text: str
    ids: tuple[int, ...] = ()
    seed: int = 0
    settings: dict[str, object] = field(default_factory=dict)
    finish: Literal["length", "stop", "eos", "cancelled"] | None = None  # None while it streams
    mean_logprob: float | None = None
    shown_ms: float = 0.0
    anchor: int = 0
    genre: str = ""
    model: str = ""


class TakeTree:
    """The takes of one document. Spots are offsets; a spot may be looked for with some `reach` to either side."""

    def __init__(self) -> None:
        self._offsets: list[int] = []  # sorted, one a spot
        self._spots: list[list[str]] = []  # ids at that spot, oldest first
        self._takes: dict[str, ShownTake] = {}  # in the order they were first added; anchors as of then

    def __len__(self) -> int:
        return len(self._takes)

    def add(self, take: ShownTake) -> None:
        """Keep a take at its anchor. The same id again replaces what is known of the take, not where it is."""
        if take.id not in self._takes:
            place = bisect_left(self._offsets, take.anchor)
            if place == len(self._offsets) or self._offsets[place] != take.anchor:
                self._offsets.insert(place, take.anchor)
                self._spots.insert(place, [])
            self._spots[place].append(take.id)
        self._takes[take.id] = take

    def remove(self, identifier: str) -> None:
        """Forget a take. Unknown ids are ignored."""
        if self._takes.pop(identifier, None) is None:
            return
        place = next(place for place, spot in enumerate(self._spots) if identifier in spot)
        self._spots[place].remove(identifier)
        if not self._spots[place]:
            del self._offsets[place], self._spots[place]

    def at(self, offset: int, reach: int = 0) -> tuple[ShownTake, ...]:
        """The takes of this spot, oldest first, each with its anchor as of now. Of equal texts only the oldest."""
        distinct: dict[str, ShownTake] = {}
        for take in self._near(offset, reach):
            distinct.setdefault(take.text, take)
        return tuple(distinct.values())

    def times(self, take: ShownTake, reach: int = 0) -> int:
        """How often the same text came up at this take's spot."""
        return sum(other.text == take.text for other in self._near(take.anchor, reach))

    def next(self, offset: int, current: str | None, reach: int = 0) -> ShownTake | None:
        """The take after `current` at this spot, round to the first; the first without one; None without any."""
        return self._step(offset, current, reach, 1)

    def previous(self, offset: int, current: str | None, reach: int = 0) -> ShownTake | None:
        """The take before `current` at this spot, round to the last; the last without one; None without any."""
        return self._step(offset, current, reach, -1)

    def shift(self, start: int, removed: int, added: int) -> None:
        """Follow an edit: `removed` characters from `start` gave way to `added`.

        A spot at `start` stays: what is written there comes after it. One inside what was removed comes to
        stand behind what was added, together with any spot that was there.
        """
        first = bisect_right(self._offsets, start)
        if first == len(self._offsets) or removed == added == 0:
            return
        end = start + removed
        inside = bisect_right(self._offsets, end)
        later = [offset + added - removed for offset in self._offsets[inside:]]
        swept = list(chain.from_iterable(self._spots[first:inside]))
        later_spots = self._spots[inside:]
        del self._offsets[first:], self._spots[first:]
        if swept:
            self._join(start + added, swept)
        self._offsets += later
        self._spots += later_spots

    def _join(self, offset: int, ids: list[str]) -> None:
        """Add ids at an offset that is the last so far, or behind it."""
        if self._offsets and self._offsets[-1] == offset:
            ids = self._spots.pop() + ids
            self._offsets.pop()
        order = {identifier: age for age, identifier in enumerate(self._takes)}
        self._offsets.append(offset)
        self._spots.append(sorted(ids, key=order.__getitem__))

    def shown(self, identifier: str, shown_ms: float) -> None:
        """Note for how long a take has been on the screen, all in all. Unknown ids are ignored."""
        take = self._takes.get(identifier)
        if take is not None:
            self._takes[identifier] = msgspec.structs.replace(take, shown_ms=shown_ms)

    def all(self) -> tuple[ShownTake, ...]:
        """Every take in the order of the text, each with its anchor as of now; equal texts too."""
        return tuple(
            self._placed(identifier, offset)
            for offset, spot in zip(self._offsets, self._spots, strict=True)
            for identifier in spot
        )

    def anchors(self) -> tuple[tuple[str, int], ...]:
        """The id and offset of every take, in the order of the text: all that is to be kept when a text is saved."""
        return tuple(
            (identifier, offset)
            for offset, spot in zip(self._offsets, self._spots, strict=True)
            for identifier in spot
        )

    def _near(self, offset: int, reach: int) -> Iterator[ShownTake]:
        first, last = bisect_left(self._offsets, offset - reach), bisect_right(self._offsets, offset + reach)
        found = {
            identifier: place
            for place, spot in zip(self._offsets[first:last], self._spots[first:last], strict=True)
            for identifier in spot
        }
        if last - first > 1:  # several spots: the oldest first across all of them
            order = {identifier: age for age, identifier in enumerate(self._takes)}
            found = dict(sorted(found.items(), key=lambda item: order[item[0]]))
        return (self._placed(identifier, place) for identifier, place in found.items())

    def _placed(self, identifier: str, offset: int) -> ShownTake:
        take = self._takes[identifier]
        return take if take.anchor == offset else msgspec.structs.replace(take, anchor=offset)

    def _step(self, offset: int, current: str | None, reach: int, step: int) -> ShownTake | None:
        takes = self.at(offset, reach)
        if not takes:
            return None
        ids = [take.id for take in takes]
        if current is None or current not in self._takes:
            return takes[0 if step > 0 else -1]
        text = self._takes[current].text  # a twin of a take that is listed counts as it
        place = next((at for at, take in enumerate(takes) if take.id == current or take.text == text), None)
        if place is None:
            return takes[0 if step > 0 else -1]
        return takes[(place + step) % len(ids)]
