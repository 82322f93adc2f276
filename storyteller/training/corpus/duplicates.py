"""Pieces that say the same: exact duplicates, and near ones found by MinHash and then compared in full.

Near means that of all runs of three words (characters, where a script has no spaces) in two pieces at least eight in
ten are in both. Signatures are one-permutation MinHash with empty bins filled from others (Li, Owen and Zhang 2012;
Shrivastava 2017), looked up in bands (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3).
"""

from __future__ import annotations

import re
from array import array
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storyteller.training.corpus.document import Document

NEAR: Final = 0.8  # Jaccard similarity from which a piece is a copy of another
_RUN: Final = 3  # words in a shingle
_BANDS: Final = 16
_ROWS: Final = 5  # 16 bands of 5 find a pair of similarity 0.8 in 99.8 % of cases, 0.5 in 40 %
_BINS: Final = _BANDS * _ROWS
_LIKELY: Final = (
    0.65  # estimated similarity from which two pieces are compared in full: 0.8 less 3 deviations
)
_OWNERS: Final = 8  # pieces remembered for a band's value: bounds the work on thousands of half-alike pieces
_UNITS: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|\w+")


def _probes() -> list[list[int]]:
    """For each bin the order in which an empty one looks at the others: fixed, so that equal sets agree."""
    orders = []
    for place in range(_BINS):
        others = [other for other in range(_BINS) if other != place]
        Random(place).shuffle(others)
        orders.append(others)
    return orders


_PROBES: Final = _probes()


def words(text: str) -> list[str]:
    """Words, and single characters of scripts without spaces."""
    return _UNITS.findall(text)


def exact_key(text: str) -> bytes:
    """The same for texts that differ only in case, blanks and line breaks. 16 bytes."""
    return blake2b(" ".join(text.casefold().split()).encode("utf-8"), digest_size=16).digest()


def shingles(text: str) -> frozenset[int]:
    """The hashes of every run of three words in `text`; never empty."""
    units = words(text.casefold())
    if len(units) < _RUN:
        return frozenset((crc32(" ".join(units or text.split()).encode()),))
    runs = set(zip(units, units[1:], units[2:], strict=False))
    return frozenset(crc32(" ".join(run).encode()) for run in runs)


def similarity(one: frozenset[int], other: frozenset[int]) -> float:
    """Jaccard: the share of all shingles that both have, 0 to 1."""
    both = len(one & other)
    return both / (len(one) + len(other) - both)


def signature(hashes: frozenset[int]) -> array[int]:
    """`_BINS` values, of which two sets' signatures share about as large a part as the sets their shingles."""
    lowest = {value % _BINS: value for value in sorted(hashes, reverse=True)}
    return array(
        "I",
        (
            lowest[place]
            if place in lowest
            else next(lowest[other] for other in _PROBES[place] if other in lowest)
            for place in range(_BINS)
        ),
    )


class Kept:
    """The pieces kept so far, to be asked whether another is like one of them."""

    def __init__(self) -> None:
        self._exact: set[bytes] = set()
        self._texts: list[str] = []
        self._signatures: list[array[int]] = []
        self._first: dict[int, int] = {}
        self._more: dict[int, list[int]] = {}
        self.exact = 0
        self.near = 0

    def add(self, text: str) -> bool:
        """Keep `text`, unless it is a duplicate of one kept before: then count it and return False."""
        key = exact_key(text)
        if key in self._exact:
            self.exact += 1
            return False
        hashes = shingles(text)
        marks = signature(hashes)
        bands = [hash((band, *marks[band * _ROWS : (band + 1) * _ROWS])) for band in range(_BANDS)]
        if self._is_near(hashes, marks, bands):
            self.near += 1
            return False
        self._exact.add(key)
        self._remember(text, marks, bands)
        return True

    def _is_near(self, hashes: frozenset[int], marks: array[int], bands: list[int]) -> bool:
        candidates = {owner for band in bands for owner in self._owners(band)}
        for owner in sorted(candidates):
            agreeing = sum(map(int.__eq__, marks, self._signatures[owner]))
            if agreeing >= _LIKELY * _BINS and similarity(hashes, shingles(self._texts[owner])) >= NEAR:
                return True
        return False

    def _owners(self, band: int) -> Iterator[int]:
        if band in self._first:
            yield self._first[band]
            yield from self._more.get(band, ())

    def _remember(self, text: str, marks: array[int], bands: list[int]) -> None:
        index = len(self._texts)
        self._texts.append(text)
        self._signatures.append(marks)
        for band in bands:
            if self._first.setdefault(band, index) != index:
                others = self._more.setdefault(band, [])
                if len(others) < _OWNERS - 1:
                    others.append(index)


def without_duplicates(documents: list[Document]) -> tuple[list[Document], int, int]:
    """The documents of which none before says the same, and how many exact and near duplicates were left out."""
    kept = Kept()
    rest = [document for document in documents if kept.add(document.text)]
    return rest, kept.exact, kept.near
