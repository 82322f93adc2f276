"""A take while the room knows it: what came of it so far, where it was offered, and for how long it was seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from storyteller.feedback.records import TakeRecord
from storyteller.manuscript.takes import ShownTake
from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable

    from storyteller.engine.protocol import Finish, TakeDone
    from storyteller.engine.settings import SamplerSettings
    from storyteller.manuscript.offer import Offer


@dataclass(eq=False)
class LiveTake:
    """One take of one request.

    Attributes:
        generation: the feedback log's generation; retries at one spot with one prompt share it.
        index: its number in that generation.
        offer: its text, and what the writer took of it.
        anchor: where in the settled text it was offered.
    """

    generation: str
    index: int
    offer: Offer
    anchor: int
    settings: SamplerSettings
    genre: str = ""
    model: str = ""
    seed: int = 0
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: Finish | None = None
    id: str = field(default_factory=uuid7)
    clock: Callable[[], float] = time.monotonic
    first_shown: float | None = None
    _shown_since: float | None = None
    _shown_s: float = 0.0

    @property
    def on_page(self) -> bool:
        """Whether it is being seen."""
        return self._shown_since is not None

    @property
    def shown_ms(self) -> float:
        """For how long it was seen, all in all."""
        now = self.clock()
        return 1000 * (self._shown_s + (now - self._shown_since if self._shown_since is not None else 0.0))

    @property
    def elapsed_ms(self) -> float | None:
        """Since it was first seen; None if it never was."""
        return None if self.first_shown is None else 1000 * (self.clock() - self.first_shown)

    def appear(self) -> bool:
        """It is on the page now. Whether for the first time."""
        first = self.first_shown is None
        if self._shown_since is None:
            self._shown_since = self.clock()
            self.first_shown = self._shown_since if first else self.first_shown
        return first

    def vanish(self) -> None:
        """It is on the page no more."""
        if self._shown_since is not None:
            self._shown_s += self.clock() - self._shown_since
            self._shown_since = None

    def end(self, done: TakeDone) -> None:
        """The engine is through with it. The offer is finished by whoever shows it."""
        self.ids, self.logprobs, self.finish, self.seed = done.ids, done.logprobs, done.finish, done.seed

    @property
    def _sum(self) -> float | None:
        return sum(self.logprobs) if self.logprobs else None

    @property
    def _mean(self) -> float | None:
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else None

    def for_tree(self) -> ShownTake:
        """As the takes of the document keep it."""
        return ShownTake(
            id=self.id,
            generation=self.generation,
            index=self.index,
            text=self.offer.whole,
            ids=self.ids,
            seed=self.seed,
            settings=msgspec.to_builtins(self.settings, str_keys=True),
            finish=self.finish,
            mean_logprob=self._mean,
            shown_ms=self.shown_ms,
            anchor=self.anchor,
            genre=self.genre,
            model=self.model,
        )

    def for_log(self) -> TakeRecord:
        """As the feedback log keeps it."""
        return TakeRecord(
            id=self.id,
            generation=self.generation,
            index=self.index,
            text=self.offer.whole,
            ids=self.ids,
            logprob_sum=self._sum,
            logprob_mean=self._mean,
            finish=self.finish,
            seed=self.seed,
            shown=self.first_shown is not None,
            shown_ms=self.shown_ms,
        )
