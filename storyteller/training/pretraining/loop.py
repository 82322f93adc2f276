"""The loop, top to bottom: windows in, a step of Muon and AdamW, now and then a measurement and a checkpoint."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import torch

from storyteller.training.accumulation import accumulate
from storyteller.training.checkpoint import newest_step, save_step
from storyteller.training.events import Checkpointed, Said, Stepped
from storyteller.training.loop import Diverged, Interrupted, memory_gb
from storyteller.training.optimiser import optimiser_tensors, set_optimiser_tensors
from storyteller.training.pretraining.events import Measured
from storyteller.training.pretraining.network import loss_of
from storyteller.training.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from storyteller.training.pretraining.events import PretrainingEvent
    from storyteller.training.pretraining.network import Gpt2
    from storyteller.training.pretraining.recipe import Training
    from storyteller.training.pretraining.shards import HeldOut, Windows

_SAVE_EVERY_S: Final = 120.0
_LOOK_EVERY: Final = {"cuda": 10}  # steps: each look waits for the GPU, which else works ahead


class Progress(msgspec.Struct, kw_only=True):
    """Where a run is, in numbers.

    Attributes:
        step, tokens: done and read.
        seconds: of the clock that the schedule may follow: everything since the first step but preparing and exporting.
        micro_batch: sequences at once, after memory ran out perhaps.
        curve: what was measured on the way.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    micro_batch: int = 1
    curve: list[Measured] = []


@dataclass(eq=False)
class Run:
    """What the loop works on.

    Attributes:
        interrupted: whether to save and leave, asked between two steps.
        save_every: steps; None: every two minutes.
    """

    network: Gpt2
    training: Training
    windows: Windows
    held_out: Mapping[str, HeldOut]
    folder: Path
    tell: Callable[[PretrainingEvent], None]
    progress: Progress
    interrupted: Callable[[], bool] = lambda: False
    processes: Processes = field(default_factory=Processes)
    save_every: int | None = None

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.network.wte.weight.device

    @property
    def context(self) -> int:
        """Tokens a sequence."""
        return self.network.shape.context

    @property
    def sequences(self) -> int:
        """Of a step, all processes together."""
        return self.training.tokens_per_step // self.context


@dataclass(frozen=True)
class Saved:
    """A checkpoint: all there is to a run, for nothing in it is left to chance."""

    progress: Progress
    tensors: dict[str, dict[str, Tensor]]


def pretrain(run: Run, resumed: Saved | None = None) -> None:
    """Train until the tokens are read or the time is over; the network of `run` is the result, and a checkpoint is there.

    Raises:
        Diverged: a loss or gradient is no number any more; the last checkpoint was before that.
        Interrupted: it stopped in the middle; a checkpoint is there.
        OSError: the last checkpoint cannot be written.
    """
    training, progress = run.training, run.progress
    optimisers = make_optimisers(run.network, training)
    if resumed is not None:
        run.network.load_state_dict(resumed.tensors["network"])
        for name, optimiser in optimisers.items():
            set_optimiser_tensors(optimiser, resumed.tensors[name])
    peaks = [(group, group["lr"]) for optimiser in optimisers.values() for group in optimiser.param_groups]
    look_every = _LOOK_EVERY.get(run.device.type, 1)
    health = torch.zeros((), device=run.device)  # any loss or norm that is no number stays in it
    began, before = time.monotonic(), progress.seconds
    saved, looked = began, began
    while (done := _done(run)) < 1:
        if run.processes.agree(run.interrupted())[0]:
            _look(health)
            save(run, optimisers, must=True)
            raise Interrupted
        pace = schedule(training, progress.step, done)
        for group, peak in peaks:
            group["lr"] = peak * pace
        loss, norm = _step(run, optimisers)
        health.mul_(0).add_(loss + norm)
        now = time.monotonic()
        progress.seconds = before + now - began
        due = run.save_every is not None and progress.step % run.save_every == 0
        if progress.step % look_every == 0:
            _look(health)
            run.tell(_stepped(run, float(loss), float(norm), pace, (time.monotonic() - looked) / look_every))
            looked = time.monotonic()
            if run.save_every is None:
                due = run.processes.agree(now - saved > _SAVE_EVERY_S)[0]
        if due:
            _look(health)
            save(run, optimisers)
            saved = looked = time.monotonic()
        last = training.tokens is not None and progress.tokens >= training.tokens  # measured as a whole soon
        if progress.step % training.measure_every == 0 and not last:
            _look(health)
            measure_on_the_way(run)
            looked = time.monotonic()
    _look(health)
    save(run, optimisers, must=True)


def schedule(training: Training, step: int, done: float) -> float:
    """The share of the highest rates in step `step`, when the share `done` of the run is: up, level, and down in a line.

    Warm-up, stable, decay: a run may be made longer while it is level (Hu et al., MiniCPM, 2024).
    """
    up = min(1.0, (step + 1) / max(1, training.warm_up))
    return up * min(1.0, (1.0 - done) / training.decay) if training.decay else up


def make_optimisers(network: Gpt2, training: Training) -> dict[str, Any]:
    """Muon over the blocks' matrices, AdamW over embeddings, norms and biases (Jordan et al., 2024; Moonlight's scale)."""
    named = dict(network.named_parameters())
    matrices = {name: value for name, value in named.items() if name.startswith("h.") and value.dim() == 2}
    return {
        "muon": torch.optim.Muon(
            matrices.values(),
            lr=training.matrix_rate,
            weight_decay=training.weight_decay,
            momentum=training.momentum,
            adjust_lr_fn="match_rms_adamw",
        ),
        "adamw": torch.optim.AdamW(
            [value for name, value in named.items() if name not in matrices],
            lr=training.rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
            fused=network.wte.weight.device.type == "cuda",
        ),
    }


@torch.no_grad()
def measure(run: Run, most: int) -> dict[str, float]:
    """Bits a byte of what is held out, by genre, over at most `most` tokens of each; each process measures its share."""
    return {genre: _bits_per_byte(run, held, most) for genre, held in run.held_out.items()}


def _bits_per_byte(run: Run, held: HeldOut, most: int) -> float:
    count = min(len(held.stream) - 1, most)
    at_once = run.progress.micro_batch  # of this process, where memory may have run out
    mine = run.processes.share(-(-count // run.context))
    end = min(count, mine.stop * run.context)
    nats = 0.0
    for first in range(mine.start, mine.stop, at_once):
        # Always as many windows of one length, which torch.compile compiled for: those past the end count nothing.
        starts = [(first + row) * run.context for row in range(at_once)]
        windows = torch.stack([held.stream.window(start, run.context + 1) for start in starts])
        counted = torch.tensor([end - start for start in starts])
        nats += float(loss_of(run.network, windows.to(run.device), counted.to(run.device)))
    return run.processes.sum(nats) / math.log(2) / (count * held.bytes_per_token)


def _done(run: Run) -> float:
    """The share of the run that is done, as all processes see it: the clock is the first one's."""
    if run.training.tokens is not None:
        return _share(run)
    return run.processes.sum(_share(run) if run.processes.leads else 0.0)


def _share(run: Run) -> float:
    training, progress = run.training, run.progress
    if training.tokens is not None:
        return progress.tokens / training.tokens
    return progress.seconds / (60 * (training.minutes or 1.0))


def _step(run: Run, optimisers: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """One step of all optimisers: the loss before it, nats a token, and the gradient's length before it was clipped."""
    loss = _gradients(run)
    norm = torch.nn.utils.clip_grad_norm_(run.network.parameters(), run.training.clip)
    for optimiser in optimisers.values():
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    run.progress.step += 1
    run.progress.tokens += run.training.tokens_per_step
    return loss, norm


def _gradients(run: Run) -> Tensor:
    """Leave the gradient of this step's mean loss in the network; halves the sequences at once until they fit.

    Returns:
        the loss, nats a token, on the device.
    """
    progress = run.progress
    first = progress.step * run.sequences

    def share_of_loss(start: int, count: int) -> Tensor:
        windows = run.windows.batch(first + start, count)
        if run.device.type == "cuda":
            windows = windows.pin_memory()  # so that the copy waits for nothing
        windows = windows.to(run.device, non_blocking=True)
        return loss_of(run.network, windows) / run.training.tokens_per_step

    def again() -> None:
        run.tell(
            Said(
                message=f"There was not enough memory: {progress.micro_batch} sequences at once from now on."
            )
        )

    parameters = list(run.network.parameters())
    return accumulate(share_of_loss, run.sequences, progress, parameters, run.processes, again)


def _look(health: Tensor) -> None:
    """Raises Diverged where something was no number since the last look."""
    if not math.isfinite(float(health)):
        raise Diverged


def measure_on_the_way(run: Run) -> None:
    """Measure on a part of what is held out; tell it, and remember it for the card."""
    progress = run.progress
    figures = measure(run, run.training.measured_tokens)
    measured = Measured(step=progress.step, tokens=progress.tokens, bits_per_byte=figures)
    progress.curve.append(measured)
    run.tell(measured)


def _stepped(run: Run, loss: float, norm: float, pace: float, seconds: float) -> Stepped:
    progress, training = run.progress, run.training
    done = min(1.0, _share(run))
    return Stepped(
        step=progress.step,
        steps=max(progress.step, round(progress.step / done)),
        loss=loss,
        rate=training.matrix_rate * pace,
        gradient=norm,
        tokens_per_s=training.tokens_per_step / max(seconds, 1e-9),
        seconds_left=progress.seconds * (1 - done) / done,
        memory_gb=memory_gb(run.device),
    )


def save(run: Run, optimisers: Mapping[str, Any], *, must: bool = False) -> None:
    """Write a checkpoint; a full disk is said and the run goes on, unless one `must` be there.

    Raises:
        OSError: it must, and could not.
    """
    if not run.processes.leads:
        return
    network = {name: tensor.detach().cpu().contiguous() for name, tensor in run.network.state_dict().items()}
    files = {"network": network}
    files |= {name: optimiser_tensors(optimiser) for name, optimiser in optimisers.items()}
    try:
        save_step(run.folder, run.progress.step, run.progress, files)
    except OSError as error:
        if must:
            raise
        run.tell(
            Said(message=f"No checkpoint could be written ({error.strerror or error}); the run goes on.")
        )
        return
    run.tell(Checkpointed(step=run.progress.step))


def load(folder: Path) -> tuple[Saved | None, list[str]]:
    """The newest checkpoint in `folder` that is whole, and the names of newer ones that are not."""
    return newest_step(folder, _saved)


def _saved(progress: bytes, tensors: dict[str, dict[str, Tensor]]) -> Saved:
    if {"network", "muon", "adamw"} - tensors.keys():
        raise ValueError("a checkpoint of another kind of run")
    return Saved(msgspec.json.decode(progress, type=Progress), tensors)
