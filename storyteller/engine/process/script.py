"""What a scripted engine says: replies turned into the events a real engine would send, pure and the same every time."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from storyteller.engine.protocol import (
    Alternative,
    Began,
    Done,
    Finish,
    Generate,
    GenerateEvent,
    Notice,
    Probe,
    Probed,
    Rewound,
    Score,
    Scored,
    ScoredToken,
    TakeDone,
    Token,
    decode_event,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storyteller.engine.cancel import CancelSignal
    from storyteller.errors import StorytellerError

DEFAULT_TEXT = " The lamp burned low, and outside the rain went on as if it had been paid to."
_PIECE = re.compile(r"\s*\S{1,6}|\s+")
_TOKEN_S = 0.02  # what a token is said to have taken
_SEED = 1


class Death(Exception):  # noqa: N818 - an event of the script, not an error of anyone's
    """The engine that plays the script dies here."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What one `Generate` gets.

    Attributes:
        texts: one a take; a request for more takes begins again at the first.
        final: `TakeDone.text` a take, where it differs from what was streamed.
        finish: how every take ends.
        notice: a sentence sent before the first token.
        rewind: tokens of the first take that are taken back after its last one.
        error: raised after `after` tokens.
        dies: the engine dies after `after` tokens.
        after: tokens of all takes together.
        events: a recording to play as it is, in place of all this.
    """

    texts: tuple[str, ...] = (DEFAULT_TEXT,)
    final: tuple[str, ...] = ()
    finish: Finish = "length"
    notice: str | None = None
    rewind: int = 0
    error: StorytellerError | None = None
    dies: bool = False
    after: int = 0
    events: tuple[GenerateEvent, ...] = ()


def perform(reply: Reply, request: Generate, cancel: CancelSignal) -> Iterator[GenerateEvent]:
    """The events of `request`, its takes interleaved token by token; `Done` comes last, cancelled or not.

    Raises:
        Death: where the reply says so.
        StorytellerError: where the reply says so.
    """
    takes: defaultdict[int, _Take] = defaultdict(_Take)
    sent = 0
    for event in reply.events or _compose(reply, request):
        if cancel.all_cancelled:
            break
        if isinstance(event, Token | Rewound | TakeDone):
            take = takes[event.take]
            if take.ended:
                continue
            if cancel.take_cancelled(event.take):
                yield take.cut_short(request, event.take)
                continue
            if isinstance(event, Token):
                if sent == reply.after and reply.error is not None:
                    raise reply.error
                if sent == reply.after and reply.dies:
                    raise Death
                sent += 1
            take.take_in(event)
        if isinstance(event, Done):
            yield msgspec.structs.replace(event, id=request.id, tokens=sent)
            return
        yield msgspec.structs.replace(event, id=request.id)
    if cancel.all_cancelled:
        for index in range(request.takes):
            if not takes[index].ended:
                yield takes[index].cut_short(request, index)
        yield Done(id=request.id, reason="cancelled", tokens=sent)


@dataclass
class _Take:
    """What was streamed of one take."""

    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    ended: bool = False

    def take_in(self, event: Token | Rewound | TakeDone) -> None:
        match event:
            case Token(text=text):
                self.text += text
                self.tokens.append(event)
            case Rewound(characters=characters, tokens=tokens):
                self.text = self.text[: len(self.text) - characters]
                del self.tokens[len(self.tokens) - tokens :]
            case TakeDone():
                self.ended = True

    def cut_short(self, request: Generate, index: int) -> TakeDone:
        self.ended = True
        return _take_done(request, index, self.text, self.tokens, "cancelled")


def _compose(reply: Reply, request: Generate) -> Iterator[GenerateEvent]:
    """All events of a reply that nobody cancels."""
    texts = [reply.texts[index % len(reply.texts)] for index in range(request.takes)]
    takes = [_tokens(request, index, text) for index, text in enumerate(texts)]
    prompt = request.context.text
    yield Began(
        id=request.id,
        prompt=prompt,
        ids=request.ids or tuple(token_id(piece) for piece in pieces(prompt)),
        truncated=False,
        reused=0,
        seeds=tuple(_seed(request, index) for index in range(request.takes)),
    )
    if reply.notice is not None:
        yield Notice(id=request.id, message=reply.notice)
    for position in range(max(map(len, takes), default=0)):
        for take in takes:
            if position < len(take):
                yield take[position]
    for index, tokens in enumerate(takes):
        text = texts[index]
        if index == 0 and reply.rewind:
            lost = sum(len(token.text) for token in tokens[-reply.rewind :])
            text, tokens = text[: len(text) - lost], tokens[: -reply.rewind]  # noqa: PLW2901
            yield Rewound(id=request.id, take=0, characters=lost, tokens=reply.rewind, reason="loop")
        if reply.final:
            text = reply.final[index % len(reply.final)]
        yield _take_done(request, index, text, tokens, reply.finish)
    yield Done(id=request.id, seconds=_TOKEN_S * sum(map(len, takes)))


def pieces(text: str) -> list[str]:
    """`text` cut into what passes for tokens: a few characters each, with the blank before them."""
    return _PIECE.findall(text)


def token_id(piece: str) -> int:
    """A number for a piece, always the same."""
    return zlib.crc32(piece.encode("utf-8", "surrogatepass")) % 50_000


def _logprob(piece: str) -> float:
    return -(1 + token_id(piece) % 400) / 100


def _tokens(request: Generate, take: int, text: str) -> list[Token]:
    return [
        Token(
            id=request.id,
            take=take,
            text=piece,
            token=token_id(piece),
            logprob=_logprob(piece),
            alternatives=_alternatives(piece, request.alternatives),
        )
        for piece in pieces(text)
    ]


def _alternatives(piece: str, count: int) -> tuple[Alternative, ...]:
    words = (piece, " the", " a", " and", " of", " to", " in", " that", " it", " was")
    return tuple(
        Alternative(token=token_id(word), text=word, logprob=-float(rank + 1))
        for rank, word in enumerate(words[:count])
    )


def _take_done(request: Generate, index: int, text: str, tokens: list[Token], finish: Finish) -> TakeDone:
    return TakeDone(
        id=request.id,
        take=index,
        text=text,
        ids=tuple(token.token for token in tokens),
        logprobs=tuple(token.logprob for token in tokens),
        finish=finish,
        seed=_seed(request, index),
        seconds=_TOKEN_S * len(tokens),
        first_token_s=_TOKEN_S,
    )


def _seed(request: Generate, index: int) -> int:
    return (
        request.seeds[index] if request.seeds else (_SEED if request.seed is None else request.seed) + index
    )


def score(request: Score) -> Scored:
    """Made-up log-probabilities of a text, the same every time."""
    found = pieces(request.text)
    tokens = tuple(ScoredToken(id=token_id(piece), text=piece, logprob=_logprob(piece)) for piece in found)
    return Scored(id=request.id, tokens=tokens, perplexity=20.0, bits_per_byte=1.0)


def probe(request: Probe) -> Probed:
    """Made-up alternatives after a context, the same every time."""
    return Probed(id=request.id, alternatives=_alternatives(" and", request.top))


def recorded(lines: Iterable[bytes]) -> list[Reply]:
    """The replies in a recording: the lines of an engine's process, each generation's events together.

    Raises:
        msgspec.MsgspecError: a line is not an event.
    """
    found: dict[str, list[GenerateEvent]] = {}
    for line in lines:
        event = decode_event(line)
        if isinstance(event, Began):
            found[event.id] = [event]
        elif isinstance(event, Token | Rewound | TakeDone | Done | Notice) and event.id in found:
            found[event.id].append(event)
    return [Reply(events=tuple(events)) for events in found.values()]
