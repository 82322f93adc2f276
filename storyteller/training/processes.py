"""Several processes that train one model: what torchrun or accelerate launch started, or just this one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

from storyteller.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Processes:
    """This process among those that train.

    Attributes:
        rank: 0 speaks and saves for all.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether it speaks for all."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """Which of a step's `batch` sequences are this process's."""
        return range(self.rank * batch // self.count, (self.rank + 1) * batch // self.count)

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter], loss: torch.Tensor) -> None:
        """Add every process's gradients, and its loss, up in place: what one process would have had."""
        if self.count == 1:
            return
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([loss.reshape(1), *(grad.flatten() for grad in grads)])
        distributed.all_reduce(flat)
        loss.copy_(flat[0])
        start = 1
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = flat[start : start + grad.numel()].view_as(grad).clone()
            start += grad.numel()

    def sum(self, number: float) -> float:
        """Of every process's `number`: the same everywhere, to the bit."""
        if self.count == 1:
            return number
        total = torch.tensor(number, dtype=torch.float64, device=self._device())
        distributed.all_reduce(total)
        return float(total)

    def agree(self, *flags: bool) -> list[bool]:
        """Each flag as any process has it."""
        if self.count == 1:
            return list(flags)
        wishes = torch.tensor(flags, dtype=torch.int32, device=self._device())
        distributed.all_reduce(wishes, distributed.ReduceOp.MAX)
        return [bool(wish) for wish in wishes.tolist()]

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()

    @staticmethod
    def _device() -> str:
        return "cuda" if distributed.get_backend() == "nccl" else "cpu"


def join(
    device: torch.device, command: str = "storyteller train --genre GENRE"
) -> tuple[Processes, torch.device]:
    """This process among those of its launcher, and its own device; `command` is what it launched, for a message.

    Raises:
        TrainingError: the launcher's variables make no sense.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return Processes(), device
    try:
        rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        local = int(os.environ.get("LOCAL_RANK", rank))
    except (KeyError, ValueError) as error:
        raise TrainingError(
            f"The launcher's variables make no sense ({error}). Start with: torchrun --nproc-per-node N -m {command}"
        ) from error
    if device.type == "cuda":
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Processes(rank, count), device


def leave(processes: Processes) -> None:
    """Let the others go."""
    if processes.count > 1:
        distributed.destroy_process_group()


def how_to_use_all(device: torch.device, command: str = "storyteller train") -> str | None:
    """A sentence where several GPUs are here and one process, of `command`, is using one of them."""
    if device.type == "cuda" and torch.cuda.device_count() > 1 and "WORLD_SIZE" not in os.environ:
        count = torch.cuda.device_count()
        return f"{count} GPUs are here and one is used. All: torchrun --nproc-per-node {count} -m {command} …"
    return None
