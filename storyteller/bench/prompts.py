"""What every engine is timed on, and how times become speed."""

from __future__ import annotations

import random
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

EDITS: Final = 5  # of one prompt, of whose times the median counts
_EDITED: Final = 5  # tokens before the end: a word further back than the one being typed
_WARM_UP: Final = 2  # gaps


def prompt_ids(length: int, vocabulary: int, seed: int = 0) -> list[int]:
    """A pseudo-random prompt, the same for every engine: speed depends on shapes, not on what is said."""
    rng = random.Random(seed)
    return [rng.randrange(1, vocabulary - 1) for _ in range(length)]


def seed_of(context: int, takes: int) -> int:
    """A seed for each measurement, so that no prompt begins as one before did and is served from a cache."""
    return 1000 * takes + context


def edited(ids: Sequence[int], number: int, vocabulary: int) -> list[int]:
    """`ids` with one token near the end changed: for each `number` from 0 to another one."""
    place = max(0, len(ids) - _EDITED)
    changed = 1 + (ids[place] + number) % (vocabulary - 2)
    return [*ids[:place], changed, *ids[place + 1 :]]


def tokens_per_s(stamps: Sequence[float], takes: int = 1) -> float:
    """Speed of all takes together, from the time of each of their tokens, in order.

    A step ends with the token of its last take. The first two steps warm up; the median of the others counts.
    """
    steps = stamps[takes - 1 :: takes]
    return takes / statistics.median(after - before for before, after in pairwise(steps[_WARM_UP:]))
