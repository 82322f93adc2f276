"""An engine child that writes at a fixed pace, so that the screen can be measured apart from the model.

Run as `python -m storyteller.bench.paced TOKENS_PER_SECOND`; it speaks the engine's protocol through the
engine's own server, with a core that knows a handful of sentences.
"""

from __future__ import annotations

import itertools
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storyteller.engine.protocol import (
    Began,
    Done,
    Finish,
    Generate,
    GenerateEvent,
    Load,
    Loading,
    Notice,
    Prepare,
    Probe,
    Probed,
    Ready,
    Score,
    Scored,
    TakeDone,
    Token,
)
from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storyteller.engine.cancel import CancelSignal

SENTENCE = (
    " The lamp had burned low by the time she found the second letter and she read it twice before she put"
    " on her coat and walked out into the rain."
)
SENTENCES = (
    SENTENCE,
    " The first time she laughed; the second time she counted the lines, as her mother had taught her to.",
    " She would not have answered it, had it not been for the seal, which was her own.",
    " Nobody in Harrow had written to her since the spring, when the house on the hill was sold.",
    " It began in the middle of a word, as if someone had torn the page there and thought better of it.",
    " So it was true, then; and she sat for a long while with the paper on her knee, listening to the rain.",
)
LOGPROBS = (-0.6, -1.8, -0.9, -2.4, -0.3)


@dataclass
class _Take:
    """One take: `words` of its sentence, over and over."""

    number: int
    words: list[str]
    written: int = 0

    def next_token(self, request_id: str) -> Token:
        """One word more."""
        self.written += 1
        at = self.written - 1
        logprob = LOGPROBS[at % len(LOGPROBS)]
        return Token(id=request_id, take=self.number, text=self.words[at], token=at, logprob=logprob)


class PacedCore:
    """Take n of a request is sentence n over and over, a word a token, at `tokens_per_second` each."""

    def __init__(self, tokens_per_second: float) -> None:
        self._interval = 1 / tokens_per_second

    def load(self, request: Load) -> Iterator[Loading | Ready | Notice]:
        """Ready at once."""
        yield Ready(
            id=request.id,
            model="paced",
            path="",
            model_hash="",
            device="none",
            dtype="none",
            window=1024,
            parameters=0,
            reason="a paced stand-in for measuring the screen",
        )

    def generate(self, request: Generate, cancel: CancelSignal) -> Iterator[GenerateEvent]:
        """`request.takes` takes of `request.stop.max_tokens` words, side by side."""
        seeds = tuple((request.seed or 0) + number for number in range(request.takes))
        yield Began(id=request.id, prompt="", ids=(), truncated=False, reused=0, seeds=seeds)
        started = time.perf_counter()
        takes = [_Take(number, _words(number, request.stop.max_tokens)) for number in range(request.takes)]
        growing = list(takes)
        for step in range(request.stop.max_tokens):
            time.sleep(max(0.0, started + (step + 1) * self._interval - time.perf_counter()))
            for take in [take for take in growing if cancel.take_cancelled(take.number)]:
                growing.remove(take)
                yield self._done(request, take, started, "cancelled")
            if not growing:
                break
            for take in growing:
                yield take.next_token(request.id)
        for take in growing:
            yield self._done(request, take, started, "length")
        yield Done(
            id=request.id,
            reason="cancelled" if cancel.all_cancelled else "finished",
            tokens=sum(take.written for take in takes),
            seconds=time.perf_counter() - started,
        )

    def _done(self, request: Generate, take: _Take, started: float, finish: Finish) -> TakeDone:
        return TakeDone(
            id=request.id,
            take=take.number,
            text="".join(take.words[: take.written]),
            ids=tuple(range(take.written)),
            logprobs=tuple(itertools.islice(itertools.cycle(LOGPROBS), take.written)),
            finish=finish,
            seed=(request.seed or 0) + take.number,
            seconds=time.perf_counter() - started,
            first_token_s=self._interval,
        )

    def score(self, request: Score, cancel: CancelSignal | None = None) -> Scored:  # noqa: ARG002 - the engine's face
        """Refused: there is no model here."""
        raise UserError(f"The paced engine cannot score ({request.id}). Use a model.")

    def probe(self, request: Probe) -> Probed:
        """Nothing is likely."""
        return Probed(id=request.id, alternatives=())

    def prepare(self, request: Prepare, cancel: CancelSignal) -> None:
        """Nothing to prefill."""


def _words(take: int, count: int) -> list[str]:
    sentence = SENTENCES[take % len(SENTENCES)].split()
    return [" " + word for word in itertools.islice(itertools.cycle(sentence), count)]


def main() -> None:
    """Serve on stdin and stdout until they close."""
    from storyteller.engine.server import serve

    pace = float(sys.argv[1])
    serve(lambda: PacedCore(pace))


if __name__ == "__main__":
    main()
