"""What a pretraining run says beside what every run says; lines of JSON as those of `storyteller.training.events`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from storyteller.training.events import Event

if TYPE_CHECKING:
    from storyteller.training.events import AnyEvent


class Preparing(Event, frozen=True, kw_only=True, tag="preparing"):
    """Texts become tokens.

    Attributes:
        doing: `tokenizer` or `tokens`.
        documents, megabytes: of `genre`, so far.
    """

    genre: str
    documents: int
    megabytes: float
    doing: str


class GenreTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a genre.

    Attributes:
        documents, tokens, bytes: learned from; bytes of text in UTF-8, without ends of documents.
        held_out_documents, held_out_tokens: measured on.
    """

    genre: str
    documents: int
    tokens: int
    bytes: int
    held_out_documents: int
    held_out_tokens: int


class Prepared(Event, frozen=True, kw_only=True, tag="prepared"):
    """Tokens are there.

    Attributes:
        reused: they were there already.
    """

    path: str
    vocabulary: int
    tokens: int
    genres: tuple[GenreTokens, ...]
    reused: bool


class NetworkPlanned(Event, frozen=True, kw_only=True, tag="network"):
    """What is about to be trained.

    Attributes:
        minutes, tokens: how long; one of them is None.
        epochs: how often everything is read; 0 where the clock decides or nothing is prepared yet.
    """

    recipe: str
    start: str | None
    device: str
    dtype: str
    compiled: bool
    parameters: int
    width: int
    layers: int
    heads: int
    context: int
    vocabulary: int
    tokens_per_step: int
    micro_batch: int
    minutes: float | None
    tokens: int | None
    epochs: float = 0.0


class Measured(Event, frozen=True, kw_only=True, tag="measured"):
    """Bits a byte of text held out costs, by genre."""

    step: int
    tokens: int
    bits_per_byte: dict[str, float]


class Exported(Event, frozen=True, kw_only=True, tag="exported"):
    """The model was saved, opened again, found equal, and is in `path`."""

    path: str
    step: int
    tokens: int
    seconds: float
    megabytes: float
    bits_per_byte: dict[str, float]


PretrainingEvent: TypeAlias = "AnyEvent | Preparing | Prepared | NetworkPlanned | Measured | Exported"
