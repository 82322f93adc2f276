"""What a training run can be told, and what it does where it was not told. No torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from storyteller.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

Quantise = Literal["8bit", "4bit"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; None is left to `resolved`, which looks at the model and the texts.

    Attributes:
        rank, alpha, dropout: of the low-rank products; they are multiplied by alpha / rank.
        rate: the highest learning rate; it warms up to it and falls as a cosine.
        epochs: how often each text is read; `steps` overrides it.
        batch: sequences a step.
        micro_batch: sequences at once, on each process; less memory, same result.
        seq: tokens a sequence.
        quantise: bits of the frozen base, by bitsandbytes.
        optimiser: AdamW in float32, or with bitsandbytes' 8-bit states.
        recompute: forget activations between blocks and compute them again: less memory, a third more time.
        patience: measurements without a better one after which a run ends; 0: never. A high rate may hold a run up for
            a third of its time, and all is gained as it falls.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    rate: float | None = None
    epochs: float | None = None
    steps: int | None = None
    batch: int = 8
    micro_batch: int | None = None
    seq: int | None = None
    weight_decay: float = 0.01
    warm_up: float = 0.06
    clip: float = 1.0
    seed: int = 0
    quantise: Quantise | None = None
    optimiser: Literal["adamw", "adamw8bit"] = "adamw"
    recompute: bool = False
    patience: int = 8


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A run's settings, all of them: two runs with equal ones on equal data and base give equal adapters."""

    rank: int
    alpha: float
    dropout: float
    rate: float
    steps: int
    batch: int
    seq: int
    weight_decay: float
    warm_up: float
    clip: float
    seed: int
    quantise: Quantise | None
    optimiser: Literal["adamw", "adamw8bit"]
    patience: int
    dtype: str
    measure_every: int  # steps


_SMALL_MODEL = 60_000_000  # parameters
_LITTLE_TEXT = 300_000  # tokens
_MEASUREMENTS = 20  # of a run


def check(wanted: Wanted) -> None:
    """Refuse what cannot be trained with.

    Raises:
        TrainingError: names the option and what it may be.
    """
    bounds: Sequence[tuple[str, float | None, float, float]] = (
        ("--rank", wanted.rank, 1, 256),
        ("--alpha", wanted.alpha, 0.01, 64.0 * wanted.rank),
        ("--dropout", wanted.dropout, 0.0, 0.9),
        ("--rate", wanted.rate, 1e-8, 1e4),
        ("--epochs", wanted.epochs, 1e-3, 1000),
        ("--steps", wanted.steps, 1, 10_000_000),
        ("--batch", wanted.batch, 1, 4096),
        ("--micro-batch", wanted.micro_batch, 1, 4096),
        ("--seq", wanted.seq, 8, 1 << 16),
        ("--seed", wanted.seed, 0, (1 << 63) - 1),
    )
    for option, value, least, most in bounds:
        if value is not None and not least <= value <= most:
            raise TrainingError(f"{option} is {value:g}; use a number from {least:g} to {most:g}.")


def resolved(
    wanted: Wanted, *, parameters: int, window: int, tokens: int, dtype: str, kept: int = 0
) -> Settings:
    """`wanted` with every gap filled for a model of `parameters` with `window` positions, texts of `tokens`, and `kept` spans.

    A small model has little to forget and wants a higher rate ("LoRA Without Regret", 2025: ten times that of full
    fine-tuning); little text is read more often, in shorter sequences, so that there are steps enough to learn by.
    """
    little = tokens < _LITTLE_TEXT
    seq = min(wanted.seq or (256 if little else 1024), window)
    if tokens < seq:
        seq = max(8, tokens // 2)
    # The starter on 66 poems: 7e-4 lowers perplexity as far as half and double of it, in the fewest steps without a rise.
    small, large = (7e-4, 3e-4) if little else (1e-3, 2e-4)
    rate = wanted.rate or (small if parameters < _SMALL_MODEL else large)
    epochs = wanted.epochs or (12.0 if little else 2.0)
    of_text = tokens / seq
    steps = wanted.steps or max(1, round(epochs * (of_text + min(kept, of_text)) / wanted.batch))
    return Settings(
        rank=wanted.rank,
        alpha=wanted.alpha,
        dropout=wanted.dropout,
        rate=rate,
        steps=steps,
        batch=wanted.batch,
        seq=seq,
        weight_decay=wanted.weight_decay,
        warm_up=wanted.warm_up,
        clip=wanted.clip,
        seed=wanted.seed,
        quantise=wanted.quantise,
        optimiser=wanted.optimiser,
        patience=wanted.patience,
        dtype=dtype,
        measure_every=max(1, steps // _MEASUREMENTS),
    )
