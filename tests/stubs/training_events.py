"""The events of a run, made from the few fields that a test is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storyteller.training.events import (
    Checkpointed,
    Evaluated,
    Failed,
    Finished,
    Paused,
    Planned,
    Resumed,
    Said,
    Sampled,
    Stepped,
    Stopped,
)

if TYPE_CHECKING:
    from storyteller.training.events import AnyEvent


def planned(**given: Any) -> Planned:
    """A large model's run over some hundred texts."""
    fields: dict[str, Any] = {
        "genre": "poetry", "base": "gpt2-large", "device": "cpu", "dtype": "bfloat16", "documents": 412,
        "held_out_documents": 21, "tokens": 96_400, "held_out_tokens": 4_900, "steps": 12, "epochs": 3, "batch": 8,
        "micro_batch": 2, "seq": 256, "rank": 16, "alpha": 32, "dropout": 0.05, "rate": 2e-4, "parameters": 11_800_000,
        "seconds": 1_500, "memory_gb": 9.1,
    }  # fmt: skip
    return Planned(**fields | given)


def stepped(step: int, **given: Any) -> Stepped:
    """A step of that run."""
    fields: dict[str, Any] = {
        "steps": 12, "loss": 3.0, "rate": 2e-4, "gradient": 1.0, "tokens_per_s": 1_940, "seconds_left": 240,
        "memory_gb": 9.1,
    }  # fmt: skip
    return Stepped(step=step, **fields | given)


def finished(step: int, **given: Any) -> Finished:
    """Its end."""
    fields: dict[str, Any] = {
        "adapter": "poetry", "version": "v0001", "path": "/nowhere", "base_perplexity": 61.8, "perplexity": 34.2,
        "seconds": 252, "reason": "all steps done",
    }  # fmt: skip
    return Finished(step=step, **fields | given)


EVENTS: tuple[AnyEvent, ...] = (
    planned(
        base="tiny", dtype="float32", documents=11, held_out_documents=1, tokens=830, held_out_tokens=72, steps=6,
        epochs=0.5, batch=4, micro_batch=4, seq=16, rank=2, alpha=8.0, rate=0.01, parameters=3072,
        warnings=("Little text.",),
    ),
    Resumed(step=3),
    stepped(4, steps=6, loss=7.25, rate=0.01, gradient=2.5),
    Evaluated(step=4, perplexity=1300.5, best=True),
    Sampled(step=4, prompt="The sea", text=" “Who\nis there?” 日本\x1b[31m\u2028"),
    Checkpointed(step=4),
    Said(message="There was not enough memory."),
    Paused(paused=True),
    Stopped(step=4),
    Failed(message="the disk"),
    finished(6, base_perplexity=1682.9, perplexity=1189.8),
)  # fmt: skip
"""One event of every kind."""
