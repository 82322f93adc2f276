"""How much of what a model writes stands word for word in the texts it was trained on. In tokens of the model.

The samples are indexed, not the corpus, so that memory is bounded by what was sampled: every document is read once
and forgotten, and what it shares with the samples is exact.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storyteller.engine.prompt.tokens import Tokens

_SHORT: Final = 8
_LONG: Final = 13  # what GPT-3's paper calls an overlap


class Memorisation(msgspec.Struct, frozen=True, kw_only=True):
    """Samples beside a corpus.

    Attributes:
        copied_8, copied_13: share of the samples' 8-grams and 13-grams of tokens that stand in the corpus.
        grams_8, grams_13: how many the samples have.
        longest: tokens of the longest run of a sample that stands in the corpus.
        longest_text: that run.
        longest_source: the document it stands in; empty where nothing is shared.
        corpus_tokens: how much was read.
    """

    samples: int
    copied_8: float
    copied_13: float
    grams_8: int
    grams_13: int
    longest: int
    longest_text: str
    longest_source: str
    corpus_tokens: int


def memorisation(
    tokens: Tokens, groups: Sequence[Sequence[str]], corpus: Iterable[tuple[str, str]]
) -> list[Memorisation]:
    """What each of `groups` of samples has of `corpus`, whose documents are a source's name and a text each.

    Raises:
        UserError: the corpus has no text.
    """
    shelves = [Shared([tokens.encode(text) for text in group]) for group in groups]
    read = 0
    for source, text in corpus:
        ids = tokens.encode(text)
        read += len(ids)
        for shelf in shelves:
            shelf.read(ids, source)
    if not read:
        raise UserError("The corpus has no text in it.")
    return [_found(tokens, shelf, read) for shelf in shelves]


class Shared:
    """What documents share with `samples`, found by a suffix automaton of the samples (Blumer et al. 1985).

    Attributes:
        longest: the longest run of ids that a sample and a document share, so far.
        source: the document it was first found in.
    """

    def __init__(self, samples: Sequence[Sequence[int]]) -> None:
        self.samples = samples
        self.longest: tuple[int, ...] = ()
        self.source = ""
        self._grams: dict[int, set[tuple[int, ...]]] = {_SHORT: set(), _LONG: set()}
        # No id is negative, so that no run goes from one sample into the next.
        ends = range(-1, -len(samples) - 1, -1)
        self._automaton = _Automaton(
            chain.from_iterable((*ids, end) for ids, end in zip(samples, ends, strict=True))
        )

    def read(self, ids: Sequence[int], source: str) -> None:
        """Look for what the document `ids` shares with the samples."""
        steps, links, lengths = self._automaton.steps, self._automaton.links, self._automaton.lengths
        state = length = 0
        for place, token in enumerate(ids, 1):
            while state and token not in steps[state]:
                state = links[state]
                length = lengths[state]
            if token not in steps[state]:
                continue
            state, length = steps[state][token], length + 1
            if length > len(self.longest):
                self.longest, self.source = tuple(ids[place - length : place]), source
            for n, grams in self._grams.items():
                if length >= n:
                    grams.add(tuple(ids[place - n : place]))

    def copied(self, n: int) -> tuple[int, int]:
        """How many n-grams of the samples were found, and how many there are; n is 8 or 13."""
        grams = [tuple(ids[start : start + n]) for ids in self.samples for start in range(len(ids) - n + 1)]
        return sum(gram in self._grams[n] for gram in grams), len(grams)


class _Automaton:
    """The smallest automaton that accepts every run of `ids`: at most two states an id.

    Attributes:
        steps: from each state, by id, to the next; state 0 is the empty run.
        links: the state of the longest ending of a state's runs that is not in it.
        lengths: of the longest run of each state.
    """

    def __init__(self, ids: Iterable[int]) -> None:
        self.steps: list[dict[int, int]] = [{}]
        self.links = [-1]
        self.lengths = [0]
        last = 0
        for token in ids:
            last = self._extend(last, token)

    def _extend(self, last: int, token: int) -> int:
        new = self._state({}, 0, self.lengths[last] + 1)
        state = last
        while state >= 0 and token not in self.steps[state]:
            self.steps[state][token] = new
            state = self.links[state]
        if state >= 0:
            self.links[new] = self._split(state, token)
        return new

    def _split(self, state: int, token: int) -> int:
        """The state that `token` leads to, made one whose longest run is just one longer than that of `state`."""
        target = self.steps[state][token]
        if self.lengths[target] == self.lengths[state] + 1:
            return target
        twin = self._state(dict(self.steps[target]), self.links[target], self.lengths[state] + 1)
        self.links[target] = twin
        while state >= 0 and self.steps[state].get(token) == target:
            self.steps[state][token] = twin
            state = self.links[state]
        return twin

    def _state(self, steps: dict[int, int], link: int, length: int) -> int:
        self.steps.append(steps)
        self.links.append(link)
        self.lengths.append(length)
        return len(self.steps) - 1


def _found(tokens: Tokens, shelf: Shared, read: int) -> Memorisation:
    short, of_short = shelf.copied(_SHORT)
    long, of_long = shelf.copied(_LONG)
    return Memorisation(
        samples=len(shelf.samples),
        copied_8=short / max(1, of_short),
        copied_13=long / max(1, of_long),
        grams_8=of_short,
        grams_13=of_long,
        longest=len(shelf.longest),
        longest_text=tokens.decode(shelf.longest),
        longest_source=shelf.source,
        corpus_tokens=read,
    )
