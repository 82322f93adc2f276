"""What the training bench measures and reports: what is learned, how fast, in how much memory, and what must hold."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from storyteller.bench.figures import OURS, Bound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TRAINER: Final = "Trainer"
AUTOCAST: Final = "Trainer bf16"  # bf16=True: peft's products in bfloat16, too
LEAST_SPEED: Final = 1.3  # times the Trainer's tokens a second
MOST_MEMORY: Final = 0.8  # of the Trainer's


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A training run of a few steps, for a measuring process.

    Attributes:
        who: `storyteller`, `Trainer` or `Trainer bf16`; `product` measures a plain product's speed instead.
        model: a folder; its configuration says what the base drops.
        seq: tokens a sequence.
        batch, micro_batch: sequences a step, and at once.
        steps: timed, after one that is not.
        dropout: of the low-rank products' inputs.
        quantise: bits of the frozen base, by bitsandbytes.
        recompute: activations between blocks are computed again instead of kept.
        threads: of the processor; 0 is the engine's own choice.
        scratch: a folder that lasts as long as the run.
    """

    who: str
    model: str
    device: str
    dtype: str
    seq: int
    batch: int
    micro_batch: int
    steps: int
    rank: int
    dropout: float
    quantise: Literal["8bit", "4bit"] | None
    recompute: bool
    threads: int
    scratch: str


class TrainRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one of them reached.

    Attributes:
        tokens_per_s: from the median time of a step.
        memory_gb: the most memory of its own the process ever held (Linux: RssAnon), or the GPU gave it.
        loss: the mean over the steps, nats a token; that both learn the same shows here.
        limit_tokens_per_s: what the product's speed measured in this round allows.
        round: which of the run's rounds; -1 in medians.
    """

    who: str
    tokens_per_s: float
    memory_gb: float = 0.0
    loss: float = 0.0
    limit_tokens_per_s: float = 0.0
    round: int = 0


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """Operations a second of the fastest `torch.matmul` in the run's dtype, and where it was measured."""

    operations_per_s: float
    device_name: str
    threads: int


class TrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        task: what was trained; `who` is ours.
        operations_per_token: of one token forward and back.
        operations_per_s: of a plain product, the median.
        rows: medians over the rounds.
        bounds: of each round by itself, then the median.
        rounds: every row as it was measured.
    """

    model: str
    machine: dict[str, str]
    task: Task
    operations_per_token: float
    operations_per_s: float
    rows: tuple[TrainRow, ...]
    bounds: tuple[Bound, ...]
    rounds: tuple[TrainRow, ...]


def medians(rows: Sequence[TrainRow]) -> tuple[TrainRow, ...]:
    """One row for all rounds of each, every figure the median of its own."""
    return tuple(
        TrainRow(
            who=who,
            tokens_per_s=statistics.median(row.tokens_per_s for row in rows if row.who == who),
            memory_gb=statistics.median(row.memory_gb for row in rows if row.who == who),
            loss=statistics.median(row.loss for row in rows if row.who == who),
            limit_tokens_per_s=statistics.median(row.limit_tokens_per_s for row in rows if row.who == who),
            round=-1,
        )
        for who in dict.fromkeys(row.who for row in rows)
    )


def judged(rows: Sequence[TrainRow], *, due: bool) -> Iterator[Bound]:
    """Ours beside whichever Trainer is the faster, round by round; `due`: whether it must be so good."""
    faster, leaner, shares = [], [], []
    for number in sorted({row.round for row in rows}):
        here = [row for row in rows if row.round == number]
        mine = next(row for row in here if row.who == OURS)
        shares.append(mine.tokens_per_s / mine.limit_tokens_per_s)
        others = [row for row in here if row.who != OURS]
        if others:
            best = max(others, key=lambda row: row.tokens_per_s)
            faster.append(mine.tokens_per_s / best.tokens_per_s)
            leaner.append(mine.memory_gb / best.memory_gb if best.memory_gb else 0.0)
    if faster:
        yield Bound(
            what="tokens/s, times the faster Trainer's",
            value=statistics.median(faster),
            limit=LEAST_SPEED if due else None,
        )
        yield Bound(
            what="memory, of that Trainer's",
            value=statistics.median(leaner),
            limit=MOST_MEMORY if due else None,
            at_least=False,
        )
    yield Bound(what="share of the limit", value=statistics.median(shares))
