"""The gradient of one step, some sequences at once: fewer where memory runs out, and the step is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from storyteller.engine.network.device import is_out_of_memory, release_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from storyteller.training.processes import Processes


class AtOnce(Protocol):
    """Where a run is.

    Attributes:
        micro_batch: sequences at once.
    """

    micro_batch: int


def accumulate(
    loss_of: Callable[[int, int], Tensor],
    sequences: int,
    progress: AtOnce,
    parameters: Sequence[torch.nn.Parameter],
    processes: Processes,
    again: Callable[[], None],
) -> Tensor:
    """Leave the gradient of a step in `parameters`, of all processes together.

    Args:
        loss_of: from the first sequence of the step and how many follow it to their share of the loss, a scalar.
        sequences: of the step, all processes together.
        progress: its `micro_batch` is halved until so many fit.
        parameters: what learns, on one device.
        processes: those that share the step.
        again: called before the step begins anew with fewer at once, when the memory is free.

    Returns:
        the loss, a scalar on the device.

    Raises:
        RuntimeError, MemoryError: one sequence at once does not fit, or something else went wrong.
    """
    device = parameters[0].device
    mine = processes.share(sequences)
    while True:
        try:
            total = torch.zeros((), device=device)
            for start in range(mine.start, mine.stop, progress.micro_batch):
                loss = loss_of(start, min(progress.micro_batch, mine.stop - start))
                torch.autograd.backward(loss)
                total += loss.detach()
        except (RuntimeError, MemoryError) as error:
            at_once = min(progress.micro_batch, len(mine))
            if not is_out_of_memory(error) or at_once <= 1:
                raise
            progress.micro_batch = at_once // 2
        else:
            processes.sum_gradients(parameters, total)
            return total
        for parameter in parameters:
            parameter.grad = None
        release_memory(device)
        again()
