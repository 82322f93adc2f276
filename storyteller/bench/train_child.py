"""A training bench's measuring process: a `Task` on stdin, its answer on stdout. `python -m storyteller.bench.train_child`.

Ours is `storyteller train`'s own loop; the Trainer is set up as its users have it, with nothing beside the steps.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from array import array
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from storyteller.bench.figures import OURS
from storyteller.bench.machine import MemoryWatch
from storyteller.bench.train_figures import AUTOCAST, Product, Task, TrainRow
from storyteller.errors import EngineError

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.training.data import Windows
    from storyteller.training.events import AnyEvent
    from storyteller.training.settings import Settings

_PRODUCT_S: Final = 2.0
_ALPHA: Final = 2.0  # times the rank
_RATE: Final = 1e-4


def answer_of(task: Task) -> TrainRow | Product:
    """What a fresh process finds out about `task`.

    Raises:
        EngineError: the process failed.
    """
    command = [sys.executable, "-m", "storyteller.bench.train_child"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
        MemoryWatch(child.pid) as watch,
    ):
        said, _ = child.communicate(msgspec.json.encode(task))
    if child.returncode:
        raise EngineError(
            f"Measuring {task.who} failed with exit code {child.returncode}; its messages are above."
        )
    if task.who == "product":
        return msgspec.json.decode(said, type=Product)
    row = msgspec.json.decode(said, type=TrainRow)
    return msgspec.structs.replace(row, memory_gb=row.memory_gb or watch.peak_gb)


def do(task: Task) -> TrainRow | Product:
    """Do `task` in this process."""
    from storyteller.engine.network.device import set_threads

    threads = set_threads(task.threads)
    if task.who == "product":
        return measure_product(task, threads)
    return measure_ours(task) if task.who == OURS else measure_trainer(task)


def measure_product(task: Task, threads: int) -> Product:
    """A product of the shape that most of a step is made of: a block's widest, for the tokens that are read at once."""
    import torch

    from storyteller.engine.network.model_config import load_config

    width = load_config(Path(task.model)).n_embd
    rows, device = task.micro_batch * task.seq, torch.device(task.device)
    x = torch.randn(rows, width, device=device).to(getattr(torch, task.dtype))
    weight = torch.randn(width, 4 * width, device=device).to(x.dtype)
    torch.matmul(x, weight)
    times: list[float] = []
    until = time.perf_counter() + _PRODUCT_S
    while not times or time.perf_counter() < until:
        _wait(device)
        started = time.perf_counter()
        torch.matmul(x, weight)
        _wait(device)
        times.append(time.perf_counter() - started)
    return Product(
        operations_per_s=2 * rows * width * 4 * width / min(times),
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else "processor",
        threads=threads,
    )


def measure_ours(task: Task) -> TrainRow:
    """`storyteller.training.loop.train`, told to save and measure nothing."""
    import torch

    from storyteller.training.base import open_learner
    from storyteller.training.checkpoint import Progress
    from storyteller.training.events import Stepped
    from storyteller.training.loop import Run, train

    device = torch.device(task.device)
    settings = _settings(task)
    learner = open_learner(Path(task.model), settings, device, recompute=task.recompute)
    windows = _windows(task, learner.model.config.vocab_size)
    stamps: list[float] = []
    losses: list[float] = []

    def heard(event: AnyEvent) -> None:
        if isinstance(event, Stepped):  # the loss was read: the device has done the step
            stamps.append(time.perf_counter())
            losses.append(event.loss)

    run = Run(
        learner=learner,
        settings=settings,
        windows=windows,
        measured=[windows[0][:9]],  # once, after the last step
        folder=Path(task.scratch),
        tell=heard,
        progress=Progress(micro_batch=task.micro_batch, base_loss=0.0),
        save_every=settings.steps + 1,
    )
    train(run)
    return _row(task, stamps, statistics.fmean(losses))


def measure_trainer(task: Task) -> TrainRow:
    """The `Trainer` of transformers over peft's model, as its users have it, with nothing beside the steps."""
    import torch
    import transformers

    from storyteller.training.base import open_learner

    # The same frozen base and the same fresh low-rank products; `Learner`'s own arithmetic is not asked.
    model = open_learner(Path(task.model), _settings(task), torch.device(task.device)).model
    windows = _windows(task, model.config.vocab_size)
    stamps: list[float] = []

    class Data(torch.utils.data.Dataset[dict[str, Any]]):
        def __len__(self) -> int:
            return (task.steps + 1) * task.batch

        def __getitem__(self, number: int) -> dict[str, Tensor]:
            ids = windows[number][:-1]
            return {"input_ids": ids, "labels": ids}

    class Stamps(transformers.TrainerCallback):
        def on_step_end(self, *_: object, **_named: object) -> None:
            _wait(torch.device(task.device))
            stamps.append(time.perf_counter())

    library: Any = transformers
    arguments = library.TrainingArguments(
        output_dir=task.scratch,
        max_steps=task.steps + 1,
        per_device_train_batch_size=task.micro_batch,
        gradient_accumulation_steps=task.batch // task.micro_batch,
        gradient_checkpointing=task.recompute,
        learning_rate=_RATE,
        bf16=task.who == AUTOCAST,
        use_cpu=task.device == "cpu",
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        report_to="none",
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    trainer = library.Trainer(model=model, args=arguments, train_dataset=Data(), callbacks=[Stamps()])
    outcome = trainer.train()
    return _row(task, stamps, outcome.training_loss)


def _row(task: Task, stamps: list[float], loss: float) -> TrainRow:
    import torch

    times = [after - before for before, after in pairwise(stamps)]
    on_gpu = torch.device(task.device).type == "cuda"
    return TrainRow(
        who=task.who,
        tokens_per_s=task.batch * task.seq / statistics.median(times),
        memory_gb=torch.cuda.max_memory_allocated() / 1e9 if on_gpu else 0.0,
        loss=loss,
    )


def _settings(task: Task) -> Settings:
    from storyteller.training.settings import Settings

    return Settings(
        rank=task.rank,
        alpha=_ALPHA * task.rank,
        dropout=task.dropout,
        rate=_RATE,
        steps=task.steps + 1,
        batch=task.batch,
        seq=task.seq,
        weight_decay=0.0,
        warm_up=0.0,
        clip=1.0,
        seed=0,
        quantise=task.quantise,
        optimiser="adamw",
        patience=0,
        dtype=task.dtype,
        measure_every=task.steps + 1,
    )


def _windows(task: Task, vocabulary: int) -> Windows:
    """Random ids, the same for all."""
    from storyteller.training.data import Windows

    chance = random.Random(0)
    count = (task.steps + 1) * task.batch * task.seq + 1
    return Windows([array("i", chance.choices(range(vocabulary), k=count))], task.seq, seed=0)


def _wait(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Do the task on stdin; the answer on stdout, and nothing else."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    answers = os.dup(1)
    os.dup2(2, 1)  # libraries talk on stdout
    with os.fdopen(answers, "wb") as out:
        out.write(msgspec.json.encode(do(task)))


if __name__ == "__main__":
    main()
