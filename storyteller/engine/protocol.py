"""The words the app and the engine say to each other: typed requests and events, one JSON object a line.

A request carries an `id`; every event about it carries the same `id`. The version is in `Hello`, the
engine's first line; a client that knows another version does not go on.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.errors import AdapterError

VERSION = 1
MAX_LINE = 16 * 1024 * 1024  # bytes; a longer line is refused

Finish = Literal["length", "stop", "eos", "cancelled"]
Dtype = Literal["auto", "float32", "bfloat16", "float16", "int8", "int4"]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A line of the protocol."""


# Parts shared by requests


class AdapterWeight(msgspec.Struct, frozen=True):
    """An adapter and how much of it: 1 is as trained, 0 is none, past 1 amplifies."""

    name: str  # a name from `Ready.adapters`, or the path of a PEFT folder
    weight: float = 1.0


def weighed(given: str) -> AdapterWeight | None:
    """What `NAME=WEIGHT` says; None where no number follows `=`: a name alone, or a folder with `=` in its own.

    Raises:
        AdapterError: a weight that is past all sense, or not finite.
    """
    name, separator, weight = given.rpartition("=")
    if not separator:
        return None
    try:
        value = float(weight)
    except ValueError:
        return None
    if not -100 <= value <= 100:
        raise no_weight(given)
    return AdapterWeight(name, value)


def no_weight(given: str) -> AdapterError:
    """What is wrong with `given`, whose weight is none."""
    return AdapterError(f"{given}: a weight is a number such as 0.8; 1 is as trained.")


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the model is shown. `text` ends at the caret; everything else is optional and kept small.

    The engine lays it out as header, memory, lore, premise, text, with `note` three paragraphs before
    the end of the text, and cuts `text` from the left in blocks until all of it fits.
    """

    text: str = ""
    header: str = ""
    memory: str = ""
    lore: str = ""
    premise: str = ""
    note: str = ""


# Requests


class Load(Message, frozen=True, kw_only=True, tag="load"):
    """Open a model. `model` is a folder; `None` lets the catalogue choose."""

    id: str
    model: str | None = None
    device: str = "auto"
    dtype: Dtype = "auto"
    threads: int = 0  # 0: decided by the engine
    speculate: bool = True  # read guessed tokens with certain ones where that pays; no text changes
    adapters: tuple[str, ...] = ()  # PEFT folders to make resident


class Generate(Message, frozen=True, kw_only=True, tag="generate"):
    """Continue `context` with `takes` independent continuations, streamed together as one batch.

    `seed` is of the first take; take n uses `seed + n`, or `seeds[n]`. `ids` overrides `context`. With `heal` a prompt that
    ends inside a word is backed up to a token boundary and the typed letters constrain the first token.
    """

    id: str
    context: Context = Context()
    ids: tuple[int, ...] | None = None
    takes: int = 1
    settings: SamplerSettings = SamplerSettings()
    stop: StopRules = StopRules()
    seed: int | None = None
    seeds: tuple[int, ...] = ()  # one for each take, in place of `seed`
    adapters: tuple[AdapterWeight, ...] = ()
    take_adapters: tuple[tuple[AdapterWeight, ...], ...] = ()  # a mix for each take, in place of `adapters`
    heal: bool = True
    alternatives: int = 0  # so many most likely tokens reported beside each token


class Score(Message, frozen=True, kw_only=True, tag="score"):
    """Log-probabilities of `text`, token by token."""

    id: str
    text: str
    adapters: tuple[AdapterWeight, ...] = ()


class Probe(Message, frozen=True, kw_only=True, tag="probe"):
    """The `top` most likely next tokens after `context`."""

    id: str
    context: Context = Context()
    adapters: tuple[AdapterWeight, ...] = ()
    top: int = 10


class Prepare(Message, frozen=True, kw_only=True, tag="prepare"):
    """Prefill `context` now, since a `Generate` with it is likely; answered by `Done`, dropped by anything newer."""

    id: str
    context: Context = Context()
    adapters: tuple[AdapterWeight, ...] = ()
    max_tokens: int = 60


class Cancel(Message, frozen=True, kw_only=True, tag="cancel"):
    """End request `id`, or only one take of it, before the next token."""

    id: str
    take: int | None = None


class Shutdown(Message, frozen=True, kw_only=True, tag="shutdown"):
    """Finish nothing; exit now."""


Request: TypeAlias = Load | Generate | Score | Probe | Prepare | Cancel | Shutdown


# Events


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The engine process is up and speaks this version. Sent before torch is imported."""

    version: int = VERSION
    pid: int = 0


class Loading(Message, frozen=True, kw_only=True, tag="loading"):
    """How far loading is: `stage` in a word or two, `fraction` from 0 to 1."""

    id: str
    stage: str
    fraction: float


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """The model is open and requests are served."""

    id: str
    model: str  # its name, for the status line
    path: str
    model_hash: str
    device: str
    dtype: str
    window: int  # positions
    parameters: int
    adapters: tuple[str, ...] = ()
    reason: str = ""  # why this model


class Alternative(msgspec.Struct, frozen=True):
    """A token that could have stood here."""

    token: int
    text: str
    logprob: float


class Began(Message, frozen=True, kw_only=True, tag="began"):
    """The prompt was assembled: what the model really sees, and where its text was cut."""

    id: str
    prompt: str
    ids: tuple[int, ...]
    truncated: bool
    reused: int  # prompt tokens served from the cache
    seeds: tuple[int, ...]


class Token(Message, frozen=True, kw_only=True, tag="token"):
    """One sampled token. `text` is what may be shown now: empty while bytes or a possible stop string are held back."""

    id: str
    take: int
    text: str
    token: int
    logprob: float
    alternatives: tuple[Alternative, ...] = ()


class Rewound(Message, frozen=True, kw_only=True, tag="rewound"):
    """Take back the last `characters` already sent of this take: a loop or a banned phrase was left behind."""

    id: str
    take: int
    characters: int
    tokens: int
    reason: str


class TakeDone(Message, frozen=True, kw_only=True, tag="take_done"):
    """A take ended. `text` is all of it, the authority over what was streamed.

    It extends or shortens the streamed text: an unfinished sentence is cut here. `ids` go on where `Began.ids`
    end, so they begin by saying again what was typed of an unfinished word, which `text` leaves out.
    """

    id: str
    take: int
    text: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish
    seed: int
    seconds: float
    first_token_s: float


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """Nothing more comes for this request."""

    id: str
    reason: Literal["finished", "cancelled"] = "finished"
    tokens: int = 0
    seconds: float = 0.0


class ScoredToken(msgspec.Struct, frozen=True):
    """A token of the given text; the first has no log-probability unless something stands before it."""

    id: int
    text: str
    logprob: float | None


class Scored(Message, frozen=True, kw_only=True, tag="scored"):
    """The answer to `Score`."""

    id: str
    tokens: tuple[ScoredToken, ...]
    perplexity: float
    bits_per_byte: float


class Probed(Message, frozen=True, kw_only=True, tag="probed"):
    """The answer to `Probe`, most likely first."""

    id: str
    alternatives: tuple[Alternative, ...]


class Notice(Message, frozen=True, kw_only=True, tag="notice"):
    """One sentence the writer should see once: a fallback, a queue, a loop that was left."""

    message: str
    id: str | None = None


class Failed(Message, frozen=True, kw_only=True, tag="error"):
    """Request `id` (or the engine itself, `id` None) failed; `message` says what to do next."""

    title: str
    message: str
    id: str | None = None
    exit_code: int = 1


Event: TypeAlias = (
    Hello | Loading | Ready | Began | Token | Rewound | TakeDone | Done | Scored | Probed | Notice | Failed
)
GenerateEvent: TypeAlias = Began | Token | Rewound | TakeDone | Done | Notice
StatusEvent: TypeAlias = Loading | Ready | Notice | Failed

_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(message: Request | Event) -> bytes:
    """One line, newline included. Lone surrogates, which JSON cannot carry, become U+FFFD."""
    try:
        return _encoder.encode(message) + b"\n"
    except UnicodeEncodeError:
        builtins = msgspec.to_builtins(message)
        return _encoder.encode(_without_surrogates(builtins)) + b"\n"


def decode_request(line: bytes) -> Request:
    """The request in one line.

    Raises:
        msgspec.MsgspecError: not a request of this version.
    """
    return _requests.decode(line)


def decode_event(line: bytes) -> Event:
    """The event in one line.

    Raises:
        msgspec.MsgspecError: not an event of this version.
    """
    return _events.decode(line)


def _without_surrogates(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
        case _:
            return value
