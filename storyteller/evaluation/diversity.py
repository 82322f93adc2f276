"""How varied samples are: among each other, and each in itself. In words and marks, whatever the tokenizer."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.evaluation.texts import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.evaluation.samples import Sample

    Gram = tuple[str, ...]

_ORDERS: Final = 4  # of BLEU
_NEAR: Final = 16  # words back that rep-w looks
_UNMATCHED: Final = 0.1  # matches that a sample with none has: method 1 of Chen and Cherry 2014


class Diversity(msgspec.Struct, frozen=True, kw_only=True):
    """Samples of one model.

    Attributes:
        distinct_1, distinct_2, distinct_3, distinct_4: different n-grams over all n-grams, of all samples together
            (Li et al. 2016); falls as there are more samples.
        self_bleu_4: see `self_bleu`; high where samples are alike.
        repeated_4: share of 4-grams that stood in the same sample before.
        repeated_near: rep-w of Fu et al. 2021: share of words that are among the 16 before them.
        mean_words, mean_tokens: length of a sample.
        ended: share of samples that the model ended itself.
    """

    samples: int
    distinct_1: float
    distinct_2: float
    distinct_3: float
    distinct_4: float
    self_bleu_4: float
    repeated_4: float
    repeated_near: float
    mean_words: float
    mean_tokens: float
    ended: float


def diversity(samples: Sequence[Sample]) -> Diversity:
    """What there is to say of `samples`; a share of nothing is 0."""
    texts = [words(sample.text) for sample in samples]
    return Diversity(
        samples=len(samples),
        distinct_1=distinct(texts, 1),
        distinct_2=distinct(texts, 2),
        distinct_3=distinct(texts, 3),
        distinct_4=distinct(texts, 4),
        self_bleu_4=self_bleu(texts),
        repeated_4=repeated(texts, 4),
        repeated_near=repeated_near(texts),
        mean_words=_share(sum(map(len, texts)), len(texts)),
        mean_tokens=_share(sum(sample.tokens for sample in samples), len(samples)),
        ended=_share(sum(sample.ended for sample in samples), len(samples)),
    )


def distinct(texts: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams over all n-grams of `texts` together: 0 (there are none) to 1."""
    counts: Counter[Gram] = Counter()
    for text in texts:
        counts.update(_grams(text, n))
    return _share(len(counts), counts.total())


def repeated(texts: Sequence[Sequence[str]], n: int) -> float:
    """Share of n-grams that stood in the same text before."""
    grams = [_grams(text, n) for text in texts]
    return _share(sum(len(own) - len(set(own)) for own in grams), sum(map(len, grams)))


def repeated_near(texts: Sequence[Sequence[str]], reach: int = _NEAR) -> float:
    """Share of words that are among the `reach` before them in the same text."""
    again = sum(
        word in text[max(0, place - reach) : place] for text in texts for place, word in enumerate(text)
    )
    return _share(again, sum(map(len, texts)))


def self_bleu(texts: Sequence[Sequence[str]]) -> float:
    """Mean BLEU-4 of each text against all others (Zhu et al. 2018, Texygen): 0 to 1, and 1 where all are the same.

    BLEU as Papineni et al. 2002 define it, by sentence: matches clipped by the most in any one reference, orders 1
    to 4 of equal weight, the brevity penalty by the closest length. An order without a match counts a tenth of
    one. Texts shorter than 4 are judged by the orders they have; empty ones, and one alone, count 0.
    """
    if len(texts) < 2:
        return 0.0
    counts = [[Counter(_grams(text, n)) for text in texts] for n in range(1, _ORDERS + 1)]
    most = [_two_most(of_texts) for of_texts in counts]
    lengths = Counter(map(len, texts))
    total = 0.0
    for place, text in enumerate(texts):
        orders = range(min(_ORDERS, len(text)))
        if not orders:
            continue
        logs = 0.0
        for order in orders:
            own = counts[order][place]
            matches = sum(
                min(count, _most_elsewhere(most[order][gram], place)) for gram, count in own.items()
            )
            logs += math.log((matches or _UNMATCHED) / own.total())
        total += _brevity(text, lengths) * math.exp(logs / len(orders))
    return total / len(texts)


def _two_most(counts: Sequence[Counter[Gram]]) -> dict[Gram, tuple[int, int, int]]:
    """For every n-gram the place of the text that has it most often, how often, and how often the next one has it."""
    most: dict[Gram, tuple[int, int, int]] = {}
    for place, own in enumerate(counts):
        for gram, count in own.items():
            where, first, second = most.get(gram, (-1, 0, 0))
            most[gram] = (place, count, first) if count > first else (where, first, max(second, count))
    return most


def _most_elsewhere(most: tuple[int, int, int], place: int) -> int:
    where, first, second = most
    return second if where == place else first


def _brevity(text: Sequence[str], lengths: Counter[int]) -> float:
    """The penalty of a text shorter than the other that is closest to it in length."""
    own = len(text)
    others = [length for length, count in lengths.items() if count > (length == own)]
    closest = min(others, key=lambda length: (abs(length - own), length))
    return 1.0 if own >= closest else math.exp(1 - closest / own)


def _grams(text: Sequence[str], n: int) -> list[Gram]:
    return list(zip(*(text[start:] for start in range(n)), strict=False))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
