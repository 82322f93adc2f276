"""What the feedback log holds: frozen records, each with an id of its own. Spans are in characters, times named by unit.

An id made here sorts by time; `ts` is the wall clock, which may jump; `monotonic` is a clock that does not.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import field

from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    from pathlib import Path

Finish = Literal["length", "stop", "eos", "cancelled"]
Kind = Literal[
    "view",  # a take came on the screen
    "accept",  # all that was still provisional was taken; the span says what
    "accept_partial",  # a word, a sentence, a line
    "unaccept",  # the last accepted piece was given back
    "reject",  # refused with the key for it
    "dismiss",  # written past or hidden: no judgement
    "retry",  # another take was asked for instead of this one
    "cycle",  # the writer walked on to another take
    "edit_after",  # payload {"text": ...}: what the writer wrote in its place
    "undo_accept",  # an acceptance was undone; an empty span means all of it
    "rate_up",
    "rate_down",
]
Horizon = Literal["15", "30", "120", "300", "600", "save", "close"]


UNNAMED: Final = "untitled:"
"""What the log calls a page without a file, before the id of its session."""


def document_name(path: Path) -> str:
    """What the log calls a manuscript: its absolute path with links resolved."""
    return os.path.realpath(path)


class AdapterUse(msgspec.Struct, frozen=True):
    """An adapter in the mix that wrote a generation."""

    name: str
    weight: float = 1.0
    hash: str = ""


class GenerationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the engine and the prompt the model really saw.

    Recorded when the prompt is known (`Began`) and again, with the same id, when the times are.
    """

    id: str = field(default_factory=uuid7)
    session: str
    ts: float = field(default_factory=time.time)
    document: str  # `document_name`, or a name that stands for an unsaved one
    revision: int = 0
    genre: str = ""
    cursor: int = 0  # where the take begins, in characters from the start of the text
    model: str = ""
    model_hash: str = ""
    adapters: tuple[AdapterUse, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)
    seed: int = 0  # of the first take
    prompt: str = ""
    prompt_ids: tuple[int, ...] = ()
    prompt_truncated: bool = False
    first_token_ms: float | None = None
    total_ms: float | None = None


class TakeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One continuation. Recorded when it is first shown and again, with the same id, as it grows and ends.

    A retry at the same spot with the same prompt belongs to the same generation, with the next index:
    preference pairs are only drawn inside one generation.
    """

    id: str = field(default_factory=uuid7)
    generation: str
    index: int
    text: str = ""
    ids: tuple[int, ...] = ()
    logprob_sum: float | None = None
    logprob_mean: float | None = None
    finish: Finish | None = None  # None while it streams
    seed: int = 0
    shown: bool = False
    shown_ms: float = 0.0  # for how long, all in all; a later record never lowers it


class FeedbackEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something the writer did about a take. `start` and `end` are the span of the take's text it concerns."""

    id: str = field(default_factory=uuid7)
    ts: float = field(default_factory=time.time)
    monotonic: float = field(default_factory=time.monotonic)  # seconds
    generation: str
    take: str | None = None
    kind: Kind
    start: int = 0
    end: int = 0
    elapsed_ms: float | None = None  # since the take was first shown
    payload: dict[str, object] = field(default_factory=dict)


class Survival(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the accepted part of a take, `elapsed_s` after it was accepted; see `feedback.survival`."""

    take: str
    horizon: Horizon
    ts: float = field(default_factory=time.time)
    elapsed_s: float = 0.0
    length: int = 0  # of the accepted text, in characters
    kept: int = 0  # characters of the accepted text that still stand
    overlap: float = 0.0  # share of 4-grams, 0 to 1
    distance: float = 1.0  # edits per character of the accepted text, at most 1
    now: str = ""  # what stands in its place
