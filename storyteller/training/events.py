"""What a training run says as it goes, one JSON object a line: to whoever started it, and to the run's own file.

No torch here: the screen reads these too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Anything a run says."""


class Planned(Event, frozen=True, kw_only=True, tag="planned"):
    """What is about to be done; all that `--dry-run` shows.

    Attributes:
        documents, tokens: learned from.
        held_out_documents, held_out_tokens: only measured on; of many, some.
        batch, micro_batch, seq: sequences a step, sequences at once, tokens a sequence.
        seconds, memory_gb: estimates; 0 where nothing is known yet.
    """

    genre: str
    base: str
    device: str
    dtype: str
    documents: int
    held_out_documents: int
    tokens: int
    held_out_tokens: int
    steps: int
    epochs: float
    batch: int
    micro_batch: int
    seq: int
    rank: int
    alpha: float
    dropout: float
    rate: float
    parameters: int  # that learn
    seconds: float = 0.0
    memory_gb: float = 0.0
    warnings: tuple[str, ...] = ()


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    """The run goes on from a checkpoint."""

    step: int


class Stepped(Event, frozen=True, kw_only=True, tag="step"):
    """One step of the optimiser.

    Attributes:
        loss: nats a token, of this step's texts.
        gradient: norm before clipping.
    """

    step: int
    steps: int
    loss: float
    rate: float
    gradient: float
    tokens_per_s: float
    seconds_left: float
    memory_gb: float


class Evaluated(Event, frozen=True, kw_only=True, tag="evaluated"):
    """Perplexity of the texts held out, token by token; at step 0 it is the base's."""

    step: int
    perplexity: float
    best: bool


class Sampled(Event, frozen=True, kw_only=True, tag="sampled"):
    """What the model writes after a fixed prompt, with a fixed seed."""

    step: int
    prompt: str
    text: str


class Checkpointed(Event, frozen=True, kw_only=True, tag="checkpointed"):
    """Everything up to `step` is safe on the disk."""

    step: int


class Said(Event, frozen=True, kw_only=True, tag="said"):
    """A sentence for the writer: less memory, a damaged checkpoint, an early end."""

    message: str


class Paused(Event, frozen=True, kw_only=True, tag="paused"):
    """The run waits, or goes on again."""

    paused: bool


class Finished(Event, frozen=True, kw_only=True, tag="finished"):
    """The adapter was saved, loaded again, found equal, and put on the shelf.

    Attributes:
        adapter: its name; `version` and `path` say where.
        base_perplexity, perplexity: of the texts held out, without it and with it.
    """

    adapter: str
    version: str
    path: str
    step: int
    base_perplexity: float
    perplexity: float
    seconds: float
    reason: str  # why it ended, in a few words: all steps done, no better any more, stopped


class Stopped(Event, frozen=True, kw_only=True, tag="stopped"):
    """The run stopped before its end at the writer's word; `--resume` goes on."""

    step: int


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """The run ended without a result; what it had is kept."""

    message: str


AnyEvent: TypeAlias = (
    Planned
    | Resumed
    | Stepped
    | Evaluated
    | Sampled
    | Checkpointed
    | Said
    | Paused
    | Finished
    | Stopped
    | Failed
)
_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_ENCODER = msgspec.json.Encoder()


def to_line(event: Event) -> bytes:
    """One line of JSON, its end included."""
    return _ENCODER.encode(event) + b"\n"


def from_line(line: bytes) -> AnyEvent | None:
    """The event of one line; None where it is none, or damaged."""
    try:
        return _DECODER.decode(line)
    except ValueError:  # of msgspec's errors, and of bytes that are no UTF-8
        return None


def read_events(path: Path, offset: int = 0) -> Iterator[tuple[int, AnyEvent]]:
    """The whole events in the file `path` from byte `offset` on, each with the offset after it.

    A line that is not finished is left for the next call; one that is damaged is left out; no file, no events.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                event = from_line(line)
                if event is not None:
                    yield offset, event
    except FileNotFoundError:
        return
