"""Guessing ahead for the takes of one request: what each pass reads beside the certain tokens, and what came of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from storyteller.engine.writing.draft import LONGEST, Guesser, Judgement, Lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storyteller.engine.writing.take import Take

_ROWS: Final = 16  # of all lanes in one pass: beyond, arithmetic counts as much as memory


class Speculation:
    """The guesses of one request. Text and chance are as without it.

    Attributes:
        judgement: how guesses fared; those of another request may be gone on with.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        judgement: Judgement | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`prompt` is what all takes continue."""
        self.judgement = judgement or Judgement()
        self._prompt_ids = prompt
        self._prompt: Lookup | None = None
        self._clock = clock
        self._guessers: dict[int, Guesser] = {}
        self._sizes: list[int] = []
        self._started = 0.0

    def guesses(self, lanes: Sequence[Take], rooms: Sequence[int]) -> list[tuple[int, ...]]:
        """For each lane, what may follow its take's last token: at most `rooms[i]` tokens, often none."""
        guesses: list[tuple[int, ...]] = []
        self._sizes = []
        share = max(0, _ROWS // len(lanes) - 1)
        for take, room in zip(lanes, rooms, strict=True):
            guesser = self._guesser(take.index)
            guesser.follow(take.ids)
            size, guessed = guesser.guess(min(LONGEST, share))
            most = max(0, min(len(guessed), room))
            count = self.judgement.worth(size, most, len(lanes)) if size else 0
            guesses.append(guessed[:count])
            self._sizes.append(size)
        self._started = self._clock()
        return guesses

    def passed(self, guesses: Sequence[tuple[int, ...]]) -> None:
        """What `guesses` returned last was read."""
        rows = len(guesses) + sum(map(len, guesses))
        self.judgement.passed(rows, len(guesses), self._clock() - self._started)

    def fared(self, lane: int, right: int, guessed: int) -> None:
        """`right` of `lane`'s `guessed` tokens were what its take went on with."""
        if self._sizes:  # else no pass was asked for
            self.judgement.fared(self._sizes[lane], right, guessed, len(self._sizes))

    def _guesser(self, take: int) -> Guesser:
        if self._prompt is None:
            self._prompt = Lookup(self._prompt_ids)
        if take not in self._guessers:
            self._guessers[take] = Guesser(self._prompt)
        return self._guessers[take]
