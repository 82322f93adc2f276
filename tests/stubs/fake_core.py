"""A core without a model that does what the request's author's note tells it to, the bad things included.

The note is a line of words: `tokens:N` so many tokens a take; `every:S` seconds of decoding between them;
`hold:PATH` stop before the third token until the file is there, deaf to cancelling with `deaf`; `die:N` signal N to itself at
the third token; `exit:N`; `stumble` raise an exception that quotes the manuscript; `refuse` a UserError; `fail` an
EngineError; `print` to both standard streams; `endless` end without `Done`.
A load's `model` is a name, or one of `missing`, `stumble`, `hold:PATH`, `die:N`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from storyteller.engine.process.script import probe, score
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
from storyteller.errors import EngineError, ModelError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storyteller.engine.cancel import CancelSignal

CURSE = 2  # the token before which bad things happen


class FakeCore:
    """Fits `CoreLike`. Every token says the request, take, position, model and adapters it was made with."""

    def __init__(self) -> None:
        self._model: str | None = None

    def load(self, request: Load) -> Iterator[Loading | Ready | Notice]:
        word, _, value = (request.model or "fake").partition(":")
        yield Loading(id=request.id, stage="reading weights", fraction=0.25)
        match word:
            case "missing":
                raise ModelError("/nowhere/model.safetensors does not exist; name another folder.")
            case "stumble":
                raise LookupError("an error that nobody planned for")
            case "hold":
                _wait_for(Path(value))
            case "die":
                os.kill(os.getpid(), int(value))
        self._model = word
        yield Ready(
            id=request.id,
            model=word,
            path="/nowhere",
            model_hash="0",
            device="cpu",
            dtype="float32",
            window=64,
            parameters=1,
        )

    def generate(self, request: Generate, cancel: CancelSignal) -> Iterator[GenerateEvent]:
        if self._model is None:
            raise EngineError("Open one first.", title="No model is open")
        orders = _orders(request.context.note)
        count = int(orders.get("tokens", "5"))
        mix = "+".join(f"{adapter.name}:{adapter.weight:g}" for adapter in request.adapters)
        if "refuse" in orders:
            raise UserError("Ask for less.")
        if "print" in orders:
            print("a library talks on stdout")
            print("and on stderr", file=sys.stderr, flush=True)
            os.write(1, b"native code too\n")
        yield Began(
            id=request.id,
            prompt=request.context.text,
            ids=(1,),
            truncated=False,
            reused=0,
            seeds=tuple(range(request.takes)),
        )
        texts: list[list[str]] = [[] for _ in range(request.takes)]
        open_takes = list(range(request.takes))
        for position in range(count):
            if position == CURSE:
                self._curse(orders, request, cancel)
            time.sleep(float(orders.get("every", "0")))
            if cancel.all_cancelled:
                break
            for take in [*open_takes]:
                if cancel.take_cancelled(take):
                    open_takes.remove(take)
                    yield _take_done(request, take, "".join(texts[take]), cancelled=True)
                    continue
                text = f"[{request.id} {take} {position} {self._model} {mix}]"
                texts[take].append(text)
                yield Token(id=request.id, take=take, text=text, token=position, logprob=-1.0)
        for take in open_takes:
            yield _take_done(request, take, "".join(texts[take]), cancelled=cancel.all_cancelled)
        if "endless" not in orders:
            yield Done(id=request.id, reason="cancelled" if cancel.all_cancelled else "finished")

    def score(self, request: Score, cancel: CancelSignal | None = None) -> Scored:
        if request.text == "stumble":
            raise LookupError(request.text)
        return score(request)

    def probe(self, request: Probe) -> Probed:
        return probe(request)

    def prepare(self, request: Prepare, cancel: CancelSignal) -> None:
        while request.context.note == "long" and not cancel.all_cancelled:
            time.sleep(0.001)

    def _curse(self, orders: dict[str, str], request: Generate, cancel: CancelSignal) -> None:
        if "die" in orders:
            os.kill(os.getpid(), int(orders["die"]))
            signal.pause()
        if "exit" in orders:
            os._exit(int(orders["exit"]))
        if "stumble" in orders:
            try:
                raise KeyError(request.context.text)
            except KeyError as error:
                raise RuntimeError(f"cannot continue {request.context.text!r}") from error
        if "fail" in orders:
            raise EngineError("The machine gave up; try again.")
        if "hold" in orders:
            _wait_for(Path(orders["hold"]), None if "deaf" in orders else cancel)


def _orders(note: str) -> dict[str, str]:
    return {word: value for word, _, value in (order.partition(":") for order in note.split())}


def _wait_for(path: Path, cancel: CancelSignal | None = None) -> None:
    """A decode that takes as long as the test wants."""
    while not path.exists() and (cancel is None or not cancel.all_cancelled):
        time.sleep(0.001)


def _take_done(request: Generate, take: int, text: str, *, cancelled: bool) -> TakeDone:
    return TakeDone(
        id=request.id,
        take=take,
        text=text,
        ids=(),
        logprobs=(),
        finish="cancelled" if cancelled else "length",
        seed=take,
        seconds=0.0,
        first_token_s=0.0,
    )
