"""Where the end of a history stood before, and how much of it: what DRY and the n-gram ban look at.

Kept up to date a token at a time in as many steps as that token occurs, instead of a pass over the
history for every token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence


def suffix_matches(history: Sequence[int]) -> list[int]:
    """For every position i, how many tokens ending there equal the tokens ending the history.

    One pass (the Z algorithm on the history reversed); the last entry is `len(history)`.
    """
    size = len(history)
    matches = [0] * size  # indexed from the end: matches[0] is the last position
    if size:
        matches[0] = size
    left = right = 0  # the reversed stretch [left, right) that equals the reversed beginning
    for i in range(1, size):
        length = min(right - i, matches[i - left]) if i < right else 0
        while i + length < size and history[size - 1 - length] == history[size - 1 - i - length]:
            length += 1
        matches[i] = length
        if i + length > right:
            left, right = i, i + length
    return matches[::-1]


class Repeats:
    """A history that knows where its end stood before. No match reaches over a token in `breakers`."""

    def __init__(self, history: Sequence[int] = (), breakers: Collection[int] = ()) -> None:
        self._history = list(history)
        self._breakers = frozenset(breakers)
        self._positions: dict[int, list[int]] = {}
        for position, token in enumerate(self._history):
            self._positions.setdefault(token, []).append(position)
        self._lengths: dict[int, int] = {}  # position -> tokens ending there that equal the history's end
        self._measure()

    def __len__(self) -> int:
        return len(self._history)

    def append(self, token: int) -> None:
        """One token more, in as many steps as it occurs."""
        earlier = self._positions.setdefault(token, [])
        if token in self._breakers:
            self._lengths = {}
        else:
            lengths = self._lengths
            self._lengths = {position: lengths.get(position - 1, 0) + 1 for position in earlier}
        earlier.append(len(self._history))
        self._history.append(token)

    def rewind(self, tokens: int) -> None:
        """Forget the last `tokens`, in one pass over the rest."""
        for _ in range(tokens):
            self._positions[self._history.pop()].pop()
        self._measure()

    def followers(self, reach: int = 0) -> Iterator[tuple[int, int]]:
        """(token, length) for every earlier place: the token that followed it, and how long the match is.

        Only the last `reach` tokens are looked at; 0 is all of them.
        """
        start = len(self._history) - reach if reach else 0
        for position, length in self._lengths.items():
            inside = min(length, position - start + 1)
            if inside > 0:
                yield self._history[position + 1], inside

    def _measure(self) -> None:
        self._lengths = {}
        if not self._history or self._history[-1] in self._breakers:
            return
        unbroken = next(
            (i for i, token in enumerate(reversed(self._history)) if token in self._breakers),
            len(self._history),
        )
        matches = suffix_matches(self._history)
        for position in self._positions[self._history[-1]][:-1]:
            self._lengths[position] = min(matches[position], unbroken)
