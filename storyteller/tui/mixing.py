"""Several adapters mixed by weight: faders from nothing to half as much again as was trained, and `NAME=WEIGHT`. Pure."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from storyteller.config import NO_ADAPTER, WEIGHED_PATTERN
from storyteller.disk import is_folder
from storyteller.engine.protocol import AdapterWeight, no_weight, weighed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

STEPS_TO_ONE: Final = 10  # steps of a fader from nothing to as trained
STRONGEST: Final = 1.5
_STEPS: Final = round(STRONGEST * STEPS_TO_ONE)


class Mix:
    """The faders of one choice.

    Attributes:
        weights: how much of each adapter, by name, in the order they are shown; 0 is none of it.
        moved: whether the writer touched one.
    """

    def __init__(self, names: Iterable[str], begin: Iterable[AdapterWeight]) -> None:
        self.weights: dict[str, float] = dict.fromkeys(names, 0.0)
        for adapter in begin:
            self.weights[adapter.name] = adapter.weight
        self.moved = False

    def move(self, name: str, by: int) -> None:
        """A fader some steps up or down, as far as it goes."""
        self.put(name, stepped(self.weights.get(name, 0.0), by))

    def put(self, name: str, weight: float) -> None:
        """A fader at a weight; nothing happens where there is no such fader."""
        if name in self.weights:
            self.moved = self.moved or weight != self.weights[name]
            self.weights[name] = weight

    @property
    def adapters(self) -> tuple[AdapterWeight, ...]:
        """What a request is told, the strongest first."""
        return as_adapters(self.weights)


def as_adapters(weights: Mapping[str, float]) -> tuple[AdapterWeight, ...]:
    """Weights as a request takes them, the strongest first, without those that are nothing."""
    mixed = sorted(weights.items(), key=lambda item: -abs(item[1]))
    return tuple(AdapterWeight(name, weight) for name, weight in mixed if weight)


def stepped(weight: float, by: int) -> float:
    """`weight` moved `by` steps, from 0 to `STRONGEST`; one between two steps goes to the next."""
    return max(0, min(_STEPS, round(weight * STEPS_TO_ONE) + by)) / STEPS_TO_ONE


def weight_words(weight: float) -> str:
    """`.8`, `1`, `1.5`."""
    return f"{weight:.2f}".rstrip("0").rstrip(".").replace("0.", ".", 1) or "0"


def fader(weight: float) -> str:
    """A fader as it is drawn: one cell a step, with a mark where an adapter is as it was trained."""
    place = max(0, min(_STEPS, round(weight * STEPS_TO_ONE)))
    track = ["━" if step < place else "─" for step in range(_STEPS + 1)]
    track[STEPS_TO_ONE] = "┿" if place > STEPS_TO_ONE else "┼"
    track[place] = "●" if weight else "○"
    return "".join(track)


def as_setting(adapters: Sequence[AdapterWeight]) -> tuple[str, ...] | None:
    """A mix as the setting `mix` keeps it; None where it cannot, since an adapter is a folder or is taken away."""
    words = tuple(f"{adapter.name}={round(adapter.weight, 4):g}" for adapter in adapters)
    return words if all(re.match(WEIGHED_PATTERN, word) for word in words) else None


def from_setting(words: Sequence[str] | None, there: Collection[str]) -> tuple[AdapterWeight, ...] | None:
    """The mix that was kept; None where none was, or one of its adapters is not `there` any more."""
    if words is None:
        return None
    adapters = adapter_weights(words)
    return adapters if all(adapter.name in there for adapter in adapters) else None


def adapter_weights(given: Sequence[str]) -> tuple[AdapterWeight, ...]:
    """`NAME` or `NAME=WEIGHT`, as the engine takes them; `none` is no adapter.

    Raises:
        AdapterError: a weight that is none, or too large.
    """
    return tuple(_adapter_weight(adapter) for adapter in given if adapter != NO_ADAPTER)


def _adapter_weight(given: str) -> AdapterWeight:
    found = weighed(given)
    if found is None and "=" in given and os.sep not in given and not is_folder(Path(given)):
        raise no_weight(given)
    return found or AdapterWeight(given)
