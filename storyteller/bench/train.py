"""How fast a genre is learned on this machine, and in how much memory: beside what products allow, and the Trainer.

In every round each is started in a process of its own, ours and transformers' Trainer by turns, on the same random
tokens with the same base, rank, dtype and batch; of each figure the median counts.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from rich.console import Console
from rich.table import Table

from storyteller.bench.figures import OURS, conclude
from storyteller.bench.machine import processor
from storyteller.bench.shapes import SHAPES
from storyteller.bench.tables import bounds_table
from storyteller.bench.train_child import answer_of
from storyteller.bench.train_figures import (
    AUTOCAST,
    TRAINER,
    Product,
    Task,
    TrainReport,
    TrainRow,
    judged,
    medians,
)
from storyteller.engine.network.model_config import load_config, product_shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from storyteller.engine.network.model_config import ModelConfig

_DROPOUT: Final = 0.05
_DROPS: Final = ("attn_pdrop", "embd_pdrop", "resid_pdrop")
_PACKAGES: Final = ("storyteller", "torch", "transformers", "peft", "accelerate", "bitsandbytes")
_LEGEND: Final = (
    "limit: share of what a plain product's speed, measured in every round, allows. memory: the most GB of its own "
    "the process held, mapped files not counted, or the most torch had on the GPU. Trainer: transformers' with peft; "
    "bf16: told to compute what peft adds in bfloat16, too."
)


@dataclass(frozen=True)
class Plan:
    """What a run measures.

    Attributes:
        device, dtype: as `storyteller train` has them; auto chooses as it does.
        batch, micro_batch: sequences a step, and at once (None: all).
        steps: timed, after one that is not.
        drops: whether anything is dropped: as the base's configuration says, and 0.05 of what peft reads.
    """

    model: Path
    device: str = "auto"
    dtype: str = "auto"
    seq: int = 512
    batch: int = 1
    micro_batch: int | None = None
    steps: int = 3
    rank: int = 16
    rounds: int = 3
    quantise: Literal["8bit", "4bit"] | None = None
    recompute: bool = False
    drops: bool = True
    threads: int = 0


def bench_training(plan: Plan, *, measure: Callable[[Task], TrainRow | Product] = answer_of) -> TrainReport:
    """Measure what `plan` says.

    Raises:
        UserError: no such device.
        EngineError: a measuring process failed.
    """
    config = load_config(plan.model)
    with tempfile.TemporaryDirectory(prefix="storyteller-bench-") as scratch:
        ours = _task(plan, config, Path(scratch))
        rivals = (TRAINER, AUTOCAST) if ours.dtype == "bfloat16" else (TRAINER,)
        everyone = [msgspec.structs.replace(ours, who=who) for who in (OURS, *rivals)]
        operations = operations_per_token(config, ours)
        products: list[Product] = []
        rows: list[TrainRow] = []
        for number in range(plan.rounds):
            product = measure(msgspec.structs.replace(ours, who="product"))
            assert isinstance(product, Product)  # noqa: S101 - what it answers
            products.append(product)
            for task in everyone if number % 2 == 0 else everyone[::-1]:
                print(f"round {number + 1} of {plan.rounds}: {task.who}", file=sys.stderr, flush=True)
                row = measure(task)
                assert isinstance(row, TrainRow)  # noqa: S101 - as above
                limit = product.operations_per_s / operations
                rows.append(msgspec.structs.replace(row, limit_tokens_per_s=limit, round=number))
    return TrainReport(
        model=plan.model.name,
        machine=_machine(products[0]),
        task=msgspec.structs.replace(ours, model=plan.model.name, scratch=""),
        operations_per_token=operations,
        operations_per_s=statistics.median(product.operations_per_s for product in products),
        rows=medians(rows),
        bounds=tuple(judged(rows, due=_is_judged(config, ours))),
        rounds=tuple(rows),
    )


def main(plan: Plan, *, as_json: bool = False) -> int:
    """Measure and print. Returns 1 where a bound is missed that this run could judge."""
    return conclude(bench_training(plan), print_report, as_json=as_json)


def operations_per_token(config: ModelConfig, task: Task) -> float:
    """Multiplications and additions that a token cannot do without.

    Two for each number of a frozen weight, forward and back again; low-rank products also have a gradient of their
    own; attention meets half the sequence, on average, in two products forward and four back.
    """
    shapes = product_shapes(config).values()
    frozen = config.n_layer * sum(map(math.prod, shapes)) + config.vocab_size * config.n_embd
    low_rank = config.n_layer * task.rank * sum(sum(shape) for shape in shapes)
    attention = config.n_layer * config.n_embd * 12 * (task.seq / 2)
    return 4 * frozen + 6 * low_rank + attention


def print_report(report: TrainReport) -> None:
    """The rows, then every bound and whether it holds, on stdout."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("trained by", no_wrap=True)
    for heading in ("tok/s", "limit", "memory", "loss"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.rows:
        share = row.tokens_per_s / row.limit_tokens_per_s
        table.add_row(
            row.who, f"{row.tokens_per_s:.1f}", f"{share:.0%}", f"{row.memory_gb:.2f}", f"{row.loss:.3f}"
        )
    task = report.task
    held = f"{task.quantise} under {task.dtype}" if task.quantise else task.dtype
    console = Console()
    console.print(table)
    console.print(
        f"\n{report.model} in {held}, rank {task.rank}, {task.batch} sequences of {task.seq} tokens a step, "
        f"{task.micro_batch} at once, on {report.machine['processor']}; a product reaches "
        f"{report.operations_per_s / 1e9:.0f} billion operations a second.",
        style="dim",
    )
    console.print(f"{_LEGEND}\n", style="dim")
    console.print(bounds_table(report.bounds))


def _task(plan: Plan, config: ModelConfig, scratch: Path) -> Task:
    import torch

    from storyteller.engine.network.device import place
    from storyteller.engine.network.weights import parameter_count

    wanted: Any = "auto" if plan.dtype in {"int8", "int4"} else plan.dtype
    placement = place(plan.device, wanted, parameter_count(config))
    dtype = torch.float32 if placement.dtype == torch.float16 else placement.dtype  # as `storyteller train`
    return Task(
        who=OURS,
        model=str(plan.model if plan.drops else _without_dropout(plan.model, scratch / plan.model.name)),
        device=str(placement.device),
        dtype=str(dtype).removeprefix("torch."),
        seq=min(plan.seq, config.n_positions),
        batch=plan.batch,
        micro_batch=min(plan.micro_batch or plan.batch, plan.batch),
        steps=plan.steps,
        rank=plan.rank,
        dropout=_DROPOUT if plan.drops else 0.0,
        quantise=plan.quantise,
        recompute=plan.recompute,
        threads=plan.threads,
        scratch=str(scratch),
    )


def _without_dropout(model: Path, folder: Path) -> Path:
    """`model` with a configuration of its own that drops nothing; everything else is linked to."""
    folder.mkdir()
    for file in model.iterdir():
        if file.name != "config.json":
            (folder / file.name).symlink_to(file.resolve())
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config |= dict.fromkeys(_DROPS, 0.0)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _is_judged(config: ModelConfig, task: Task) -> bool:
    """GPT-2 large's shape on a processor in bfloat16, nothing saved by other means."""
    large = (config.n_embd, config.n_layer, config.n_head) == SHAPES["gpt2-large"]
    plain = task.quantise is None and not task.recompute
    return large and plain and task.device == "cpu" and task.dtype == "bfloat16"


def _machine(product: Product) -> dict[str, str]:
    """What the figures were made on and with."""
    machine = {
        "processor": processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": str(product.threads),
    }
    if product.device_name != "processor":
        machine["gpu"] = product.device_name
    for package in _PACKAGES:
        try:
            machine[package] = version(package)
        except PackageNotFoundError:
            continue
    return machine
