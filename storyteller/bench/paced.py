"""An engine child that writes at a fixed pace, so that the screen can be measured apart from the model.

Run as `python -m storyteller.bench.paced TOKENS_PER_SECOND`; it speaks the engine's protocol through the
engine's own server, with a core that knows one sentence.
"""

from __future__ import annotations

import itertools
import sys
import time
from typing import TYPE_CHECKING

from storyteller.engine.protocol import (
    Began,
    Done,
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
WORDS = tuple(" " + word for word in SENTENCE.split())


class PacedCore:
    """Serves every request with `SENTENCE`, over and over, at `tokens_per_second`."""

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
        """One take of `request.stop.max_tokens` words."""
        yield Began(id=request.id, prompt="", ids=(), truncated=False, reused=0, seeds=(0,))
        started = time.perf_counter()
        words: list[str] = []
        for number, word in enumerate(itertools.islice(itertools.cycle(WORDS), request.stop.max_tokens)):
            time.sleep(max(0.0, started + (number + 1) * self._interval - time.perf_counter()))
            if cancel.all_cancelled or cancel.take_cancelled(0):
                break
            words.append(word)
            yield Token(id=request.id, take=0, text=word, token=number, logprob=0.0)
        seconds = time.perf_counter() - started
        yield TakeDone(
            id=request.id,
            take=0,
            text="".join(words),
            ids=tuple(range(len(words))),
            logprobs=(0.0,) * len(words),
            finish="cancelled" if cancel.all_cancelled else "length",
            seed=0,
            seconds=seconds,
            first_token_s=self._interval,
        )
        yield Done(id=request.id, tokens=len(words), seconds=seconds)

    def score(self, request: Score, cancel: CancelSignal | None = None) -> Scored:  # noqa: ARG002 - the engine's face
        """Refused: there is no model here."""
        raise UserError(f"The paced engine cannot score ({request.id}). Use a model.")

    def probe(self, request: Probe) -> Probed:
        """Nothing is likely."""
        return Probed(id=request.id, alternatives=())

    def prepare(self, request: Prepare, cancel: CancelSignal) -> None:
        """Nothing to prefill."""


def main() -> None:
    """Serve on stdin and stdout until they close."""
    from storyteller.engine.server import serve

    pace = float(sys.argv[1])
    serve(lambda: PacedCore(pace))


if __name__ == "__main__":
    main()
