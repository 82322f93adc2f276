"""Cross entropy of hidden states against the head, some rows' logits at a time, with its gradient taken at once.

All logits of a step never stand in memory: 206 MB for each copy of 1,024 rows of GPT-2's vocabulary in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from storyteller.training.data import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Judge = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def judge(rows: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The nats of `targets` (n,) after `rows` (n, d), summed, and the slope of that sum by each logit (n, vocab); float32."""
    logprobs = torch.log_softmax((rows @ head.t()).float(), dim=-1)
    counted = targets != IGNORED
    places = targets.clamp(min=0)[:, None]
    total = -(logprobs.gather(1, places)[:, 0] * counted).sum()
    slope = logprobs.exp_()
    slope.scatter_add_(1, places, -torch.ones_like(slope[:, :1]))
    slope *= counted[:, None]
    return total, slope


def head_loss(hidden: Tensor, head: Tensor, targets: Tensor, rows: int, judged: Judge = judge) -> Tensor:
    """The sum of nats, float32, of `targets` (n,) after `hidden` (n, d) against `head` (vocab, d); `IGNORED` ones count nothing.

    Args:
        hidden: as above.
        head: of hidden's dtype; it gets a gradient where it wants one.
        targets: as above.
        rows: of which logits exist at once.
        judged: `judge`, or the same compiled.
    """
    total: Tensor = _HeadLoss.apply(hidden, head, targets, rows, judged)  # type: ignore[no-untyped-call]
    return total


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, rows: int, judged: Judge) -> Tensor:
        """The sum of nats over targets that count."""
        wants_hidden, wants_head = ctx.needs_input_grad[:2]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        of_hidden = torch.empty_like(hidden) if wants_hidden else None
        of_head = torch.zeros_like(head, dtype=torch.float32) if wants_head else None
        for start in range(0, len(hidden), rows):
            some = hidden[start : start + rows]
            nats, slope = judged(some, head, targets[start : start + rows])
            total += nats
            slope = slope.to(hidden.dtype)
            if of_hidden is not None:
                of_hidden[start : start + rows] = slope @ head
            if of_head is not None:
                of_head += slope.t() @ some
        ctx.save_for_backward(of_hidden, None if of_head is None else of_head.to(head.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of `hidden` and `head`."""
        of_hidden, of_head = (
            None if gradient is None else gradient * above.to(gradient.dtype)
            for gradient in ctx.saved_tensors
        )
        return of_hidden, of_head, None, None, None
