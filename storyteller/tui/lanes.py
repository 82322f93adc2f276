"""The braid without its screen: several takes of one spot growing side by side, each with a caret of its own. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from storyteller.manuscript.likeness import four_gram_overlap
from storyteller.manuscript.segments import next_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storyteller.tui.live import LiveTake

FEWEST: Final = 2
MOST: Final = 6
ALIKE: Final = (
    0.4  # share of common four-grams from which two takes are called alike; unrelated prose has about 0.2
)


@dataclass(eq=False)
class Lane:
    """One take in the braid.

    Attributes:
        number: the key that keeps it, from 1.
        take: what streams into it, or did.
    """

    number: int
    take: LiveTake
    _chosen: str | None = (
        None  # what the writer's caret marked off; None keeps to the end, also while it grows
    )

    @property
    def text(self) -> str:
        """What has come."""
        return self.take.offer.whole

    @property
    def streaming(self) -> bool:
        """Whether more of it may come."""
        return self.take.finish is None

    @property
    def caret(self) -> int | None:
        """How many characters would be kept; None: all, also of what is still to come.

        Where the model went back behind the caret and on differently, it is at the end again.
        """
        chosen, text = self._chosen, self.text
        return None if chosen is None or chosen == text or not text.startswith(chosen) else len(chosen)

    @property
    def kept(self) -> str:
        """What Enter would take."""
        return self.text[: self.caret]

    @property
    def rest(self) -> str:
        """What Enter would leave."""
        return "" if self.caret is None else self.text[self.caret :]

    def word_forward(self) -> None:
        """Keep one word more; past the last one the caret follows the end again."""
        if (caret := self.caret) is not None:
            self._put_caret(next_word(self.text, caret))

    def word_back(self) -> None:
        """Keep one word less."""
        end, start = len(self.kept), 0
        while (further := next_word(self.text, start)) < end:
            start = further
        self._put_caret(start)

    def keep_all(self) -> None:
        """The caret follows the end."""
        self._chosen = None

    def keep_through(self, offset: int) -> None:
        """Keep up to the end of the word at `offset`."""
        end = 0
        while end <= offset and end < len(self.text):
            end = next_word(self.text, end)
        self._put_caret(end)

    def renew(self, take: LiveTake) -> LiveTake:
        """Another take comes in place of this one; returns the one that gave way."""
        replaced, self.take = self.take, take
        self._chosen = None
        return replaced

    def _put_caret(self, offset: int) -> None:
        self._chosen = None if offset >= len(self.text) else self.text[:offset]


@dataclass
class Lanes:
    """The lanes on the screen, and which one the arrows move in."""

    lanes: list[Lane]
    current: int = 0

    @classmethod
    def of(cls, takes: Iterable[LiveTake]) -> Lanes:
        """A lane a take."""
        return cls([Lane(number, take) for number, take in enumerate(takes, 1)])

    @property
    def lane(self) -> Lane:
        """The lane the arrows move in."""
        return self.lanes[self.current]

    @property
    def anchor(self) -> int:
        """Where in the settled text they are offered."""
        return self.lane.take.anchor

    @property
    def streaming(self) -> bool:
        """Whether any lane still grows."""
        return any(lane.streaming for lane in self.lanes)

    def numbered(self, number: int) -> Lane | None:
        """The lane that key `number` keeps."""
        return next((lane for lane in self.lanes if lane.number == number), None)

    def move(self, by: int) -> None:
        """Move to a neighbour, round the ends."""
        self.current = (self.current + by) % len(self.lanes)

    def move_to(self, lane: Lane) -> None:
        """Move to `lane`."""
        self.current = self.lanes.index(lane)

    def drop(self) -> Lane:
        """Take the current lane out; at least one stays.

        Raises:
            ValueError: it is the only one.
        """
        if len(self.lanes) == 1:
            raise ValueError("the last lane stays")
        dropped = self.lanes.pop(self.current)
        self.current = min(self.current, len(self.lanes) - 1)
        return dropped

    def add(self, take: LiveTake) -> Lane:
        """One lane more, under the lowest number that is free, and move there.

        Raises:
            ValueError: there are as many as there can be.
        """
        if len(self.lanes) == MOST:
            raise ValueError(f"there are {MOST} lanes")
        numbers = [lane.number for lane in self.lanes]
        number = next(free for free in range(1, MOST + 1) if free not in numbers)
        place = sum(other < number for other in numbers)
        self.lanes.insert(place, Lane(number, take))
        self.current = place
        return self.lane

    def caption(self, lane: Lane) -> str:
        """What stands under a lane: its mean probability a token, and how like it is to an earlier lane."""
        if lane.streaming:
            return "growing" if lane.text else "waiting"
        if not lane.text:
            return "nothing came"
        logprobs = lane.take.logprobs
        return f"{f'{mean_probability(logprobs):.2f}' if logprobs else 'stopped'} · {self._likeness(lane)}"

    def _likeness(self, lane: Lane) -> str:
        earlier = [other for other in self.lanes[: self.lanes.index(lane)] if not other.streaming]
        likeness, other = max(
            ((_overlap(lane.text, other.text), other.number) for other in earlier), default=(0.0, 0)
        )
        return f"{100 * likeness:.0f} % like take {other}" if likeness >= ALIKE else "new"


def mean_probability(logprobs: Sequence[float]) -> float:
    """The geometric mean of the tokens' probabilities; 0 for none."""
    return math.exp(sum(logprobs) / len(logprobs)) if logprobs else 0.0


@lru_cache(maxsize=64)
def _overlap(one: str, other: str) -> float:
    """As `four_gram_overlap`; the lanes are captioned again with every token that comes."""
    return four_gram_overlap(one, other)
