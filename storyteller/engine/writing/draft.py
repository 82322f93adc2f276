"""Tokens guessed ahead, to be read with the one that is certain: a pass over several costs little more than over one.

A guess is looked up in what stands there already. It is only ever compared with what the take's own sampler chooses
after it was read, so the text is the one that would have been written without.

Source: Leviathan et al. 2023 (speculative decoding; a draft without chance is accepted with the model's own
probability of it); Saxena 2023 (prompt look-up).
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    _Index = dict[tuple[int, ...], int]

LONGEST: Final = 7  # guesses at once: with the certain token a pass of eight
_SIZES: Final = (4, 3, 2)  # tokens that must match, the longest first
_HOPES: Final = {4: 0.8, 3: 0.6, 2: 0.3}  # how often a guess is right, before anything is known
_FORGETTING: Final = 0.92  # of what was seen, at each guess
_PATIENCE: Final = 0.995  # of what was seen, at each token without a guess: a text may begin to repeat itself
_WEIGHT: Final = 3.0  # guesses that the hopes count for
_INCOME: Final = 0.01  # what a pass adds to the credit that wrong guesses are paid from, in passes
_LOAN: Final = 0.5  # the credit at the start
_MOST_CREDIT: Final = 2.0  # however well guesses fared: the next text may be another
_COST: Final = 0.1  # of a row more, in passes, before it was measured
_DOUBT: Final = 2  # measured costs that `_COST` counts for: one pass that was held up says little
_FIRST: Final = 2  # guesses at once until the cost is known
_MARGIN: Final = 1.5  # a guess must be so many times likelier than it has to be
_KEPT: Final = 15  # passes whose times are remembered
_AGAIN: Final = (
    20  # passes without a guess after which a measured cost is forgotten, so that dear rows are tried again
)


class Lookup:
    """The tokens of a prompt, and what followed every two, three or four of them last."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        self.index: _Index = {}
        for end in range(1, len(self.ids)):
            for size in _SIZES:
                if end >= size:
                    self.index[tuple(self.ids[end - size : end])] = end


class Guesser:
    """Guesses for one take, over its prompt and itself."""

    def __init__(self, prompt: Lookup) -> None:
        self._prompt = prompt
        self._ids = list(prompt.ids)
        self._own: _Index = {}
        self._before: list[
            list[tuple[tuple[int, ...], int | None]]
        ] = []  # by token: what its entries replaced

    def follow(self, ids: list[int]) -> None:
        """The take is `ids` now: it gained some tokens, or went back first."""
        own = self._ids[len(self._prompt.ids) :]
        same = len(own)
        if (
            own != ids[:same]
        ):  # lists are compared in microseconds; only a take that went back is looked through
            pairs = zip(own, ids, strict=False)
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        for _ in own[same:]:
            self._forget_last()
        for token in ids[same:]:
            self._append(token)

    def guess(self, most: int) -> tuple[int, tuple[int, ...]]:
        """What may follow, at most `most` tokens, and how many tokens before it matched; 0 and nothing where none did.

        A guess may go on into itself: a phrase that repeats goes on repeating.
        """
        for size in _SIZES:
            if len(self._ids) <= size:
                continue
            key = tuple(self._ids[-size:])
            end = self._own.get(key) or self._prompt.index.get(key)
            if end is not None:
                guessed = self._ids[end : end + most]
                while len(guessed) < most:
                    guessed.append(guessed[end + len(guessed) - len(self._ids)])
                return size, tuple(guessed)
        return 0, ()

    def _append(self, token: int) -> None:
        """What ended before `token` has a follower from now on."""
        end = len(self._ids)
        replaced: list[tuple[tuple[int, ...], int | None]] = []
        for size in _SIZES:
            if end >= size:
                key = tuple(self._ids[-size:])
                replaced.append((key, self._own.get(key)))
                self._own[key] = end
        self._before.append(replaced)
        self._ids.append(token)

    def _forget_last(self) -> None:
        self._ids.pop()
        for key, end in reversed(self._before.pop()):
            if end is None:
                del self._own[key]
            else:
                self._own[key] = end


class Judgement:
    """How many guesses are worth their cost, by how the last ones fared. One for all requests to a model.

    Attributes:
        guessed, right: tokens so far.
    """

    def __init__(self) -> None:
        self.guessed = self.right = 0
        self._right = dict.fromkeys(_SIZES, 0.0)
        self._wrong = dict.fromkeys(_SIZES, 0.0)
        self._credit = _LOAN  # passes' worth of rows that may be read in vain
        self._since = 0  # passes since the last with guesses
        self._single: dict[int, deque[float]] = {}  # by number of takes: seconds of passes without guesses
        self._extra: dict[int, deque[float]] = {}  # of those with, seconds for each guess more

    def cost(self, lanes: int) -> float:
        """What one more row costs, in passes of one row for each of `lanes` takes."""
        extra = self._extra.get(lanes)
        if not extra:
            return _COST
        single = median(self._single[lanes])
        costs = [seconds / single for seconds in extra]
        return min(1.0, max(0.02, median([*costs, *[_COST] * _DOUBT])))

    def worth(self, size: int, most: int, lanes: int) -> int:
        """How many guesses to read after a match of `size` tokens, at most `most`, for one of `lanes` takes.

        A right guess saves its take a pass, which is the `lanes`-th part of what passes are made for.
        """
        if (
            self._credit < 0.0 or lanes not in self._single
        ):  # what nothing was compared with cannot be measured
            return 0
        if len(self._extra.get(lanes, ())) <= _DOUBT:
            most = min(most, _FIRST)
        chance, count = self.chance(size), 0
        reached, least = chance, _MARGIN * self.cost(lanes) * lanes
        while count < most and reached > least:
            count += 1
            reached *= chance
        return count

    def chance(self, size: int) -> float:
        """How likely a guess after a match of `size` tokens is right."""
        seen = self._right[size] + self._wrong[size]
        return (self._right[size] + _WEIGHT * _HOPES[size]) / (seen + _WEIGHT)

    def passed(self, rows: int, lanes: int, seconds: float) -> None:
        """A pass over `rows` tokens of `lanes` takes took so long."""
        self._credit = min(_MOST_CREDIT, self._credit + _INCOME)
        if rows == lanes:
            self._single.setdefault(lanes, deque(maxlen=_KEPT)).append(seconds)
            self._since += 1
            if self._since % _AGAIN == 0 and self._extra.get(lanes):
                self._extra[lanes].popleft()
            return
        self._since = 0
        if lanes in self._single:
            more = max(0.0, seconds - median(self._single[lanes])) / (rows - lanes)
            self._extra.setdefault(lanes, deque(maxlen=_KEPT)).append(more)

    def fared(self, size: int, right: int, guessed: int, lanes: int) -> None:
        """`right` of `guessed` tokens after a match of `size` were what one of `lanes` takes went on with."""
        if not guessed:
            for each in _SIZES:
                self._right[each] *= _PATIENCE
                self._wrong[each] *= _PATIENCE
            return
        self.guessed += guessed
        self.right += right
        self._credit = min(_MOST_CREDIT, self._credit + right / lanes - guessed * self.cost(lanes))
        self._right[size] = self._right[size] * _FORGETTING + right
        self._wrong[size] = self._wrong[size] * _FORGETTING + (right < guessed)
