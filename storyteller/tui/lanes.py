"""The braid without its screen: several takes of one spot growing side by side, each with a caret of its own. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from storyteller.manuscript.likeness import four_gram_overlap
from storyteller.manuscript.segments import next_word
from storyteller.text import writable_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.engine.protocol import TakeDone

FEWEST: Final = 2
MOST: Final = 6
ALIKE: Final = (
    0.4  # share of common four-grams from which two takes are called alike; unrelated prose has about 0.2
)


@dataclass
class Lane:
    """One take in the braid.

    Attributes:
        number: the key that keeps it, from 1.
        generation, take: the request it streams from, and which of its takes it is.
        text: what has come.
        done: how it ended; None while it streams.
        trouble: one sentence, where it failed.
        caret: how many characters would be kept; None keeps to the end, also while it grows.
    """

    number: int
    generation: str
    take: int
    text: str = ""
    done: TakeDone | None = None
    trouble: str = ""
    caret: int | None = None

    @property
    def streaming(self) -> bool:
        """Whether more of it may come."""
        return self.done is None and not self.trouble

    @property
    def kept(self) -> str:
        """What Enter would take."""
        return self.text if self.caret is None else self.text[: self.caret]

    @property
    def rest(self) -> str:
        """What Enter would leave."""
        return self.text[len(self.kept) :]

    def feed(self, text: str) -> None:
        """More of it came."""
        self.text = writable_text(self.text + text)

    def rewind(self, characters: int) -> None:
        """The model took back its last `characters`."""
        self.text = self.text[: max(0, len(self.text) - characters)]
        self._hold_caret()

    def finish(self, done: TakeDone) -> None:
        """It ended; `done.text` is all of it."""
        self.done = done
        self.text = writable_text(done.text)
        self._hold_caret()

    def word_forward(self) -> None:
        """Keep one word more; past the last one the caret follows the end again."""
        if self.caret is not None:
            further = self.caret + next_word(self.rest)
            self.caret = None if further >= len(self.text) else further

    def word_back(self) -> None:
        """Keep one word less."""
        kept, start = self.kept, 0
        while (end := start + next_word(self.text[start:])) < len(kept):
            start = end
        self.caret = start

    def _hold_caret(self) -> None:
        if self.caret is not None and self.caret >= len(self.text):
            self.caret = None


@dataclass
class Lanes:
    """The lanes on the screen, and which one the arrows move in."""

    lanes: list[Lane]
    current: int = 0

    @classmethod
    def of(cls, generation: str, count: int) -> Lanes:
        """`count` empty lanes for the takes of one request."""
        return cls([Lane(number=take + 1, generation=generation, take=take) for take in range(count)])

    @property
    def lane(self) -> Lane:
        """The lane the arrows move in."""
        return self.lanes[self.current]

    @property
    def streaming(self) -> bool:
        """Whether any lane still grows."""
        return any(lane.streaming for lane in self.lanes)

    def streamed_by(self, generation: str, take: int) -> Lane | None:
        """The lane a take streams into; None once it was dropped."""
        return next((lane for lane in self.lanes if (lane.generation, lane.take) == (generation, take)), None)

    def numbered(self, number: int) -> Lane | None:
        """The lane that key `number` keeps."""
        return next((lane for lane in self.lanes if lane.number == number), None)

    def move(self, by: int) -> None:
        """Move to a neighbour, round the ends."""
        self.current = (self.current + by) % len(self.lanes)

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

    def replace(self, generation: str) -> Lane:
        """Let the first take of another request stream where the current lane is; returns the lane that gave way."""
        replaced = self.lane
        self.lanes[self.current] = Lane(number=replaced.number, generation=generation, take=0)
        return replaced

    def caption(self, lane: Lane) -> str:
        """What stands under a lane: its mean probability a token, and how like it is to an earlier lane."""
        if lane.trouble:
            return lane.trouble
        if lane.done is None:
            return "growing" if lane.text else "waiting"
        return f"{mean_probability(lane.done.logprobs):.2f} · {self._likeness(lane)}"

    def _likeness(self, lane: Lane) -> str:
        earlier = self.lanes[: self.lanes.index(lane)]
        likeness, other = max(
            ((four_gram_overlap(lane.text, other.text), other.number) for other in earlier), default=(0.0, 0)
        )
        return f"{likeness:.0%} like take {other}" if likeness >= ALIKE else "new"


def mean_probability(logprobs: Sequence[float]) -> float:
    """The geometric mean of the tokens' probabilities; 0 for none."""
    return math.exp(sum(logprobs) / len(logprobs)) if logprobs else 0.0
