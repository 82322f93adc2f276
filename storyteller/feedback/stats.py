"""The log in numbers: what was offered, what became of it, and how far each data set is from its minimum."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, get_args

import msgspec
from msgspec import field

from storyteller.feedback.export import DataKind, build
from storyteller.feedback.labels import judge
from storyteller.feedback.records import Horizon
from storyteller.feedback.survival import stands

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from storyteller.feedback.history import GenerationHistory

_HORIZONS: Final[tuple[Horizon, ...]] = get_args(Horizon)
_KINDS: Final[tuple[DataKind, ...]] = get_args(DataKind)


class GenreStats(msgspec.Struct, frozen=True, kw_only=True):
    """How one genre's takes fared."""

    generations: int = 0
    shown: int = 0
    accepted: int = 0  # in whole or in part, and not given back
    refused: int = 0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one horizon."""

    looked: int = 0
    stood: int = 0
    kept_share: float = 0.0  # of the accepted characters, 0 to 1


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """How far a data set is: `missing` is empty when it can be exported."""

    rows: int = 0
    missing: tuple[str, ...] = ()


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `feedback stats` shows."""

    generations: int = 0
    documents: int = 0
    takes: int = 0
    characters_accepted: int = 0
    events: dict[str, int] = field(default_factory=dict)
    genres: dict[str, GenreStats] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    datasets: dict[str, Readiness] = field(default_factory=dict)


def statistics(history: Sequence[GenerationHistory], *, refused: Collection[str] = ()) -> Stats:
    """Count over a whole log; `refused` are the generations for which consent no longer stands."""
    takes = [take for generation in history for take in generation.takes]
    events = Counter(event.kind for generation in history for event in generation.events)
    events.update(event.kind for take in takes for event in take.events)
    spans = [verdict.accepted for verdict in map(judge, takes) if verdict.accepted is not None]
    return Stats(
        generations=len(history),
        documents=len({generation.document_hash for generation in history}),
        takes=len(takes),
        characters_accepted=sum(end - start for start, end in spans),
        events=dict(sorted(events.items())),
        genres={
            name: _genre_stats([found for found in history if found.record.genre == name])
            for name in sorted({generation.record.genre for generation in history})
        },
        standing=_standing(history),
        datasets={kind: _readiness(kind, history, refused) for kind in _KINDS},
    )


def _genre_stats(history: Sequence[GenerationHistory]) -> GenreStats:
    takes = [take for generation in history for take in generation.takes]
    verdicts = [judge(take) for take in takes]
    return GenreStats(
        generations=len(history),
        shown=sum(take.record.shown for take in takes),
        accepted=sum(verdict.accepted is not None for verdict in verdicts),
        refused=sum(verdict.refused is not None for verdict in verdicts),
    )


def _standing(history: Sequence[GenerationHistory]) -> dict[str, Standing]:
    found: dict[str, Standing] = {}
    for horizon in _HORIZONS:
        looks = [
            take.survival[horizon]
            for generation in history
            for take in generation.takes
            if horizon in take.survival
        ]
        length = sum(look.length for look in looks)
        if looks:
            found[horizon] = Standing(
                looked=len(looks),
                stood=sum(map(stands, looks)),
                kept_share=sum(look.kept for look in looks) / length if length else 0.0,
            )
    return found


def _readiness(kind: DataKind, history: Sequence[GenerationHistory], refused: Collection[str]) -> Readiness:
    dataset = build(kind, history, refused=refused)
    return Readiness(rows=dataset.size, missing=dataset.missing)
