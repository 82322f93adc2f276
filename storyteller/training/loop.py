"""The training loop, top to bottom: sequences in, a step of AdamW, a measurement now and then, the best adapter kept."""

from __future__ import annotations

import math
import random
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch

from storyteller.training import checkpoint as checkpoints
from storyteller.training.accumulation import accumulate
from storyteller.training.base import adapter_tensors, set_adapter_tensors, trainable
from storyteller.training.checkpoint import Checkpoint, Progress
from storyteller.training.events import (
    Checkpointed,
    Evaluated,
    Paused,
    Said,
    Sampled,
    Stepped,
)
from storyteller.training.optimiser import make_optimiser, optimiser_tensors, set_optimiser_tensors
from storyteller.training.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from storyteller.training.data import Windows
    from storyteller.training.events import AnyEvent
    from storyteller.training.network import Learner
    from storyteller.training.run_folder import Wish
    from storyteller.training.settings import Settings

_SAVE_EVERY_S: Final = 120.0
_LOWEST_RATE: Final = 0.1  # of the highest, at the end of the cosine


class Diverged(Exception):  # noqa: N818 - a way a run ends
    """The loss or its gradient is not a number any more."""


class Interrupted(Exception):  # noqa: N818 - a way a run ends
    """The writer wants the run to stop; everything so far is saved."""


@dataclass(eq=False)
class Run:
    """What the loop works on.

    Attributes:
        measured: windows (n + 1,) of what is held out.
        sample: the text that the model now writes after a fixed prompt, or None where there is nothing to show.
        wished, interrupted: what the writer wants, asked between two steps.
    """

    learner: Learner
    settings: Settings
    windows: Windows
    measured: Sequence[Tensor]
    folder: Path
    tell: Callable[[AnyEvent], None]
    progress: Progress
    sample: Callable[[], tuple[str, str]] | None = None
    wished: Callable[[], Wish] = lambda: "go"
    interrupted: Callable[[], bool] = lambda: False
    processes: Processes = field(default_factory=Processes)
    save_every: int | None = None  # steps; else every two minutes
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.learner.head.device


def train(run: Run, resumed: Checkpoint | None = None) -> str:
    """Train until the steps are done, nothing gets better, or the writer says stop; `run.best` is the result.

    Returns:
        why it ended, in a few words.

    Raises:
        Diverged: `run.best` has the best so far.
        Interrupted: it stopped in the middle; a checkpoint is there.
        OSError: no checkpoint can be written, and the writer wanted one.
    """
    settings, progress = run.settings, run.progress
    named = trainable(run.learner)
    parameters = [value for _, value in named]
    optimiser = make_optimiser(settings, parameters)
    if resumed is not None:
        set_adapter_tensors(run.learner, resumed.adapter)
        set_optimiser_tensors(optimiser, resumed.optimiser)
        run.best = resumed.best
    saved = time.monotonic()
    if progress.base_loss is None:
        progress.base_loss = measure(run)
        _report(run, progress.base_loss, best=False)
    while progress.step < settings.steps:
        leaves, stops = _wishes(run)
        if leaves:
            _save(run, optimiser, must=True)
            raise Interrupted
        if stops and progress.step:
            if not run.best and _better(run, measure(run)):
                run.best = adapter_tensors(run.learner)
            return "stopped"
        began = time.monotonic()
        rate = learning_rate(settings, progress.step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = _gradients(run, parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, settings.clip))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise Diverged
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        progress.step += 1
        progress.last_loss = loss
        now = time.monotonic()
        progress.seconds += now - began
        run.tell(_stepped(run, loss, rate, norm, now - began))
        if progress.step % settings.measure_every == 0 or progress.step == settings.steps:
            if _better(run, measure(run)):
                run.best = adapter_tensors(run.learner)
            if settings.patience and progress.since_best >= settings.patience:
                return "no better any more"
        due = time.monotonic() - saved > _SAVE_EVERY_S
        if progress.step % run.save_every == 0 if run.save_every else run.processes.agree(due)[0]:
            _save(run, optimiser)
            saved = time.monotonic()
    return "all steps done"


def learning_rate(settings: Settings, step: int) -> float:
    """The rate of step `step`: up in a line, then down as a cosine to a tenth."""
    warm = max(1, round(settings.warm_up * settings.steps))
    if step < warm:
        return settings.rate * (step + 1) / warm
    done = (step - warm) / max(1, settings.steps - warm)
    return settings.rate * (_LOWEST_RATE + (1 - _LOWEST_RATE) * 0.5 * (1 + math.cos(math.pi * done)))


@torch.no_grad()
def measure(run: Run) -> float:
    """Nats a token over everything held out, of which each process measures its share.

    Raises:
        Diverged: they are no number.
    """
    run.learner.model.eval()
    total = 0.0
    try:
        for window in run.measured[run.processes.rank :: run.processes.count]:
            ids = window.to(run.device)[None]
            total += float(run.learner.loss(ids[:, :-1], ids[:, 1:]))
    finally:
        run.learner.model.train()
    total = run.processes.sum(total)
    count = sum(len(window) - 1 for window in run.measured)
    if not math.isfinite(total):
        raise Diverged
    return total / count


def _gradients(run: Run, parameters: Sequence[torch.nn.Parameter]) -> float:
    """Leave the gradient of this step's mean loss in `parameters`; halves the sequences at once until they fit.

    The step is the same however many are at once: chance begins anew where memory ran out, and the sum is divided by
    the number of all tokens. It begins anew with each step, too, on each process in another way: so a run that goes on
    drops what it would have dropped, and a checkpoint keeps no state of chance.
    """
    settings, progress = run.settings, run.progress
    first = progress.step * settings.batch
    counted = run.windows.counted(first, settings.batch)
    chance = random.Random(f"{settings.seed}/{progress.step}/{run.processes.rank}").getrandbits(63)
    torch.manual_seed(chance)

    def loss_of(start: int, count: int) -> Tensor:
        ids, targets = (rows.to(run.device) for rows in run.windows.rows(first + start, count))
        return run.learner.loss(ids, targets) / counted

    def again() -> None:
        torch.manual_seed(chance)
        run.tell(
            Said(
                message=f"There was not enough memory, so {_sequences(progress.micro_batch)} at once; a step still learns "
                f"from {settings.batch}."
            )
        )

    return float(accumulate(loss_of, settings.batch, progress, parameters, run.processes, again))


def _sequences(count: int) -> str:
    return f"{count} sequences are read" if count > 1 else "one sequence is read"


def _better(run: Run, loss: float) -> bool:
    """Take note of a measurement; whether it is the best so far."""
    progress = run.progress
    best = progress.best_loss is None or loss < progress.best_loss
    if best:
        progress.best_loss, progress.best_step, progress.since_best = loss, progress.step, 0
    else:
        progress.since_best += 1
    _report(run, loss, best=best)
    return best


def _report(run: Run, loss: float, *, best: bool) -> None:
    run.tell(Evaluated(step=run.progress.step, perplexity=math.exp(min(loss, 700.0)), best=best))
    if run.sample is not None and run.processes.leads:
        prompt, text = run.sample()
        run.tell(Sampled(step=run.progress.step, prompt=prompt, text=text))


def _stepped(run: Run, loss: float, rate: float, norm: float, seconds: float) -> Stepped:
    settings, progress = run.settings, run.progress
    left = (settings.steps - progress.step) * progress.seconds / progress.step
    return Stepped(
        step=progress.step,
        steps=settings.steps,
        loss=loss,
        rate=rate,
        gradient=norm,
        tokens_per_s=settings.batch * settings.seq / seconds,
        seconds_left=left,
        memory_gb=memory_gb(run.device),
    )


def memory_gb(device: torch.device) -> float:
    """The most this process has held: of the GPU's memory, else of the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e9 if sys.platform == "darwin" else most * 1024 / 1e9


def _save(run: Run, optimiser: Any, *, must: bool = False) -> None:
    """Write a checkpoint; a full disk is said and the run goes on, unless it is about to stop."""
    if not run.processes.leads:
        return
    saved = Checkpoint(run.progress, adapter_tensors(run.learner), run.best, optimiser_tensors(optimiser))
    try:
        checkpoints.save(run.folder, saved)
    except OSError as error:
        if must:
            raise
        run.tell(
            Said(message=f"No checkpoint could be written ({error.strerror or error}); the run goes on.")
        )
        return
    run.tell(Checkpointed(step=run.progress.step))


def _wishes(run: Run) -> tuple[bool, bool]:
    """Whether to save and leave, and whether to stop with the best; waits while the writer wants a pause.

    All processes ask in step: one that paused alone would keep the others waiting until they gave up.
    """
    paused = False
    while True:
        wished = run.wished()
        leaves, stops, pauses = run.processes.agree(run.interrupted(), wished == "stop", wished == "pause")
        if leaves or not pauses:
            if paused:
                run.tell(Paused(paused=False))
            return leaves, stops
        if paused:
            time.sleep(0.2)
        else:
            run.tell(Paused(paused=True))
        paused = True
