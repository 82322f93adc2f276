"""Beam search: the likeliest continuation as a whole, as far as a few best beginnings at a time can find it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from storyteller.engine.sampling.damage import normaliser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from storyteller.engine.decoder import Decoder
    from storyteller.engine.protocol import Finish


class Continuation(Struct, frozen=True):
    """What a search found.

    Attributes:
        ids: its tokens, without the one that ends a document.
        logprobs: theirs under the model's own distribution.
        score: the sum of adjusted log-probabilities over length to the power of the length penalty.
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    score: float
    finish: Finish


class _Beam(Struct, frozen=True):
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    total: float  # sum of adjusted log-probabilities
    lane: int = 0  # the lane its last token continues


def beam_search(
    decoder: Decoder,
    prompt: Sequence[int],
    *,
    beams: int,
    max_tokens: int,
    length_penalty: float = 1.0,
    early_stopping: bool = True,
    adjust: Callable[[Tensor, Sequence[Sequence[int]]], Tensor] | None = None,
    ended: Callable[[Sequence[int]], bool] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Continuation]:
    """At most `beams` continuations of `prompt`, the best first; once cancelled, the best so far.

    A continuation is whole when the model ends the document, when `ended` says so of its tokens, or at
    `max_tokens`, or where the window is full. A length penalty above 0 favours long ones. With
    `early_stopping` the search ends once `beams` of them are whole, else once none under way can be
    expected to better them. `adjust` gets log-probabilities (rows, vocab) and each row's history, prompt
    included. The same results as transformers' `generate(num_beams=...)`.

    Raises:
        EngineError: the model's output is not a number.
        ValueError: the prompt is empty or longer than the window.
    """
    search = _Search(decoder, prompt, beams, length_penalty, adjust)
    limit = min(max_tokens, decoder.window - len(prompt) + 1)  # the last token needs no position
    if limit <= 0:
        yield Continuation((), (), 0.0, "length")
        return

    def whole(ids: Sequence[int]) -> Finish | None:
        if ids[-1] == decoder.eos:
            return "eos"
        if ended is not None and ended(ids):
            return "stop"
        return "length" if len(ids) == limit else None

    while True:
        if cancelled():
            search.close("cancelled")
            break
        if not search.step(whole):
            break
        if search.is_full and (early_stopping or not search.can_improve()):
            break
        search.advance()
    yield from search.best


class _Search:
    """Beams under way, one a lane, and the continuations that are whole."""

    def __init__(
        self,
        decoder: Decoder,
        prompt: Sequence[int],
        beams: int,
        length_penalty: float,
        adjust: Callable[[Tensor, Sequence[Sequence[int]]], Tensor] | None,
    ) -> None:
        if not 0 < len(prompt) <= decoder.window:
            raise ValueError(f"a prompt of {len(prompt)} tokens does not fit a window of {decoder.window}")
        self._decoder = decoder
        self._prompt = tuple(prompt)
        self._beams = beams
        self._length_penalty = length_penalty
        self._adjust = adjust
        self._under_way = [_Beam((), (), 0.0)]
        self._logits = decoder.prefill(prompt, beams).unsqueeze(0)  # (beams under way, vocab)
        self.best: list[Continuation] = []

    @property
    def is_full(self) -> bool:
        return len(self.best) == self._beams

    def step(self, whole: Callable[[Sequence[int]], Finish | None]) -> bool:
        """Lengthen every beam by a token and keep the best; False when none is left under way."""
        lengthened = self._lengthened()
        if not lengthened:  # every token is forbidden: the texts end here
            self.close("eos")
            return False
        under_way: list[_Beam] = []
        for rank, beam in enumerate(lengthened):
            finish = whole(beam.ids)
            if finish is None:
                under_way.append(beam)
            elif rank < self._beams:
                self._keep(beam, finish)
        self._under_way = under_way[: self._beams]
        return bool(self._under_way)

    def can_improve(self) -> bool:
        """Whether the best beam under way beats the worst whole one, at its present length."""
        best = self._under_way[0]
        return self._score(best, len(best.ids)) > self.best[-1].score

    def advance(self) -> None:
        """Decode the tokens just chosen. Lanes without a beam follow the first one, unread."""
        spare = [self._under_way[0]] * (self._beams - len(self._under_way))
        lanes = [*self._under_way, *spare]
        self._decoder.reorder([beam.lane for beam in lanes])
        self._logits = self._decoder.decode([beam.ids[-1] for beam in lanes])[: len(self._under_way)]

    def close(self, finish: Finish) -> None:
        """Take the beams under way as they are."""
        for beam in self._under_way:
            self._keep(beam, finish)

    def _lengthened(self) -> list[_Beam]:
        """The best twice `beams` beams one token longer: enough even if every best one ends its document."""
        logprobs = self._logits - normaliser(self._logits).unsqueeze(1)
        scores = logprobs
        if self._adjust is not None:
            scores = self._adjust(scores, [(*self._prompt, *beam.ids) for beam in self._under_way])
        totals = scores + scores.new_tensor([beam.total for beam in self._under_way]).unsqueeze(1)
        best = totals.flatten().topk(min(2 * self._beams, totals.numel()))
        chosen = logprobs.flatten()[best.indices].tolist()
        vocab = totals.shape[1]
        beams: list[_Beam] = []
        for total, index, logprob in zip(best.values.tolist(), best.indices.tolist(), chosen, strict=True):
            if total == -math.inf:
                break
            lane, token = divmod(index, vocab)
            parent = self._under_way[lane]
            beams.append(_Beam((*parent.ids, token), (*parent.logprobs, logprob), total, lane))
        return beams

    def _keep(self, beam: _Beam, finish: Finish) -> None:
        shown = len(beam.ids) - (finish == "eos" and beam.ids[-1:] == (self._decoder.eos,))
        score = self._score(beam, max(1, len(beam.ids)))
        self.best.append(Continuation(beam.ids[:shown], beam.logprobs[:shown], score, finish))
        self.best.sort(key=lambda kept: -kept.score)
        del self.best[self._beams :]

    def _score(self, beam: _Beam, length: int) -> float:
        return beam.total / math.pow(length, self._length_penalty)
