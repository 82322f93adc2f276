"""What the top line and the status line say, as pieces that give way by rank. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storyteller.tui.lines import Piece
from storyteller.tui.mixing import weight_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.engine.protocol import AdapterWeight
    from storyteller.tui.model_state import ModelState


@dataclass(frozen=True)
class Manuscript:
    """What the top line is about."""

    name: str
    dirty: bool
    read_only: bool
    chapter: str | None
    words: int
    today: int
    goal: int


@dataclass(frozen=True)
class Writing:
    """What the status line is about. `take` is which of how many takes of the spot is shown, 0 for none."""

    genre: str
    adapters: Sequence[AdapterWeight]
    model: ModelState
    rate: float
    take: tuple[int, int]
    at_work: bool
    preset: str
    position: tuple[int, int]
    training: str = ""


def top_pieces(manuscript: Manuscript) -> tuple[list[Piece], list[Piece]]:
    """The file and whether it is saved; the chapter, the words, the day's words."""
    name = manuscript.name
    if manuscript.dirty:
        name += " •"
    left = [Piece(name, 9, "$foreground")]
    if manuscript.read_only:
        left.append(Piece("for reading", 8, "$room-accent"))
    counts = [Piece(f"{manuscript.words:,} {'word' if manuscript.words == 1 else 'words'}", 7)]
    if manuscript.goal:
        counts.append(Piece(f"{manuscript.today:,} of {manuscript.goal:,} today", 6))
    elif manuscript.today:
        counts.append(Piece(f"{manuscript.today:+,} today", 5))
    chapter = [Piece(manuscript.chapter[:40], 4)] if manuscript.chapter else []
    return left, [*chapter, *counts]


def status_pieces(writing: Writing) -> tuple[list[Piece], list[Piece]]:
    """Genre or adapters, model, which take, preset, what is being learned; line and column."""
    number, count = writing.take
    take = ""
    if number:
        take = f"take {number} of {count}"
    elif count:
        take = f"{count} {'take' if count == 1 else 'takes'} here"
    model = writing.model.shown
    if writing.rate and writing.model.ready is not None:
        model += f" · {writing.rate:.0f} tok/s"
    if writing.at_work:
        take = f"{take}, writing" if take else "writing"
    line, column = writing.position
    return (
        [
            Piece(mix_words(writing.genre, writing.adapters), 4),
            Piece(model, 6, "$room-alarm" if writing.model.failed else ""),
            Piece(take, 5, "$room-accent"),
            Piece(writing.preset, 3),
            Piece(writing.training, 2),
        ],
        [Piece(f"{line:,}:{column}", 7)],
    )


def mix_words(genre: str, adapters: Sequence[AdapterWeight]) -> str:
    """`stories .8 + noir .3`; the genre alone where no adapter is mixed in."""
    if not adapters:
        return genre
    return " + ".join(
        adapter.name
        if len(adapters) == 1 and adapter.weight == 1.0
        else f"{adapter.name} {weight_words(adapter.weight)}"
        for adapter in adapters
    )
