"""A block's products and its attention on a processor, forward and back: the same numbers, little kept in between.

Of a product only its input is kept, before the norm or the activation that leads to it; of attention the queries, keys
and values. The rest is worked out again going back, from the seeds of what was dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from storyteller.training.dropping import Dropping, fresh_seed, kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

_QUERIES: Final = 128  # at once: keys after the last of them are not even looked at


@dataclass(frozen=True, eq=False)
class Frozen:
    """What a product does that does not learn.

    Attributes:
        weight, bias: (in, out) and (out,).
        before: what is done to its input: a norm, an activation or nothing.
        scale: of the low-rank product.
        rate: of its input that is dropped.
    """

    weight: Tensor
    bias: Tensor
    before: Callable[[Tensor], Tensor] | None
    scale: float
    rate: float


def adapted(x: Tensor, a: Tensor, b: Tensor, frozen: Frozen) -> Tensor:
    """before(x) W + bias + scale · dropped(before(x)) aᵀ bᵀ of rows `x` (n, in), `a` (r, in), `b` (out, r): (n, out)."""
    result: Tensor = _Adapted.apply(x, a, b, frozen)  # type: ignore[no-untyped-call]
    return result


def attention(qkv: Tensor, heads: int, scale: float, rate: float) -> Tensor:
    """Causal attention of queries, keys and values (b, t, 3 d): what the heads gather (b, t, d)."""
    result: Tensor = _Attention.apply(qkv, heads, scale, rate)  # type: ignore[no-untyped-call]
    return result


class _Adapted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, frozen: Frozen) -> Tensor:
        inputs = frozen.before(x) if frozen.before else x
        dropping = Dropping(frozen.rate, seed := fresh_seed())
        low = dropping.left(inputs) @ a.t()
        ctx.frozen, ctx.seed = frozen, seed
        ctx.save_for_backward(x, a, b, low)
        y = torch.addmm(frozen.bias, inputs, frozen.weight)
        return y.addmm_(low, b.t(), alpha=frozen.scale * dropping.gain)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, a, b, low = ctx.saved_tensors
        frozen: Frozen = ctx.frozen
        dropping = Dropping(frozen.rate, ctx.seed)
        with torch.enable_grad():
            x = x.detach().requires_grad_(ctx.needs_input_grad[0])
            inputs = frozen.before(x) if frozen.before else x
        mask = dropping.mask(inputs)
        above_low = (above @ b).mul_(frozen.scale * dropping.gain)  # (n, r)
        slope_a = above_low.t() @ kept(inputs.detach(), mask)
        slope_b = (above.t() @ low).mul_(frozen.scale * dropping.gain)
        if not ctx.needs_input_grad[0]:
            return None, slope_a, slope_b, None
        slope = kept(above_low @ a, mask).addmm_(above, frozen.weight.t())
        if frozen.before:
            (slope,) = torch.autograd.grad(inputs, x, slope)
        return slope, slope_a, slope_b, None


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int, scale: float, rate: float) -> Tensor:
        ctx.save_for_backward(qkv)
        ctx.heads, ctx.scale, ctx.rate, ctx.seed = heads, scale, rate, fresh_seed()
        q, k, v = _by_heads(qkv, heads, scale)
        gathered = torch.empty_like(q)
        dropping = Dropping(rate, ctx.seed)
        for rows, seen, weights in attended(q, k):
            gathered[:, rows] = dropping.left(weights) @ v[:, seen]
        return _joined(gathered.mul_(dropping.gain), len(qkv))

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None, None]:
        (qkv,) = ctx.saved_tensors
        count, length, triple = qkv.shape
        q, k, v = _by_heads(qkv, ctx.heads, ctx.scale)
        dropping = Dropping(ctx.rate, ctx.seed)
        above = _split(above, ctx.heads) * dropping.gain
        slopes = qkv.new_zeros(3, *q.shape)
        for rows, seen, weights in attended(q, k):
            mask = dropping.mask(weights)
            slopes[2, :, seen].baddbmm_(kept(weights, mask).mT, above[:, rows])
            slope = kept(above[:, rows] @ v[:, seen].mT, mask)
            slope = torch._softmax_backward_data(slope, weights, -1, weights.dtype)
            slopes[0, :, rows] = slope @ k[:, seen]
            slopes[1, :, seen].baddbmm_(slope.mT, q[:, rows])
        slopes[0].mul_(ctx.scale)
        whole = slopes.view(3, count, ctx.heads, length, -1).permute(1, 3, 0, 2, 4)
        return whole.reshape(count, length, triple), None, None, None


def attended(q: Tensor, k: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Some queries of (…, t, d_head) at a time: which, the keys up to them, and how much each is attended to."""
    length = q.shape[-2]
    ahead = torch.full((_QUERIES, _QUERIES), -math.inf, dtype=q.dtype).triu_(1)
    for start in range(0, length, _QUERIES):
        stop = min(start + _QUERIES, length)
        scores = q[..., start:stop, :] @ k[..., :stop, :].mT
        scores[..., start:] += ahead[: stop - start, : stop - start]
        yield slice(start, stop), slice(0, stop), scores.softmax(-1)


def _by_heads(qkv: Tensor, heads: int, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Queries times `scale`, keys and values, each (b heads, t, width).

    Keys have their mean taken off: no weight changes by it, and scores lose less when they are rounded to bfloat16
    ("SageAttention", 2024).
    """
    q, k, v = (_split(part, heads) for part in qkv.chunk(3, dim=-1))
    return q * scale, k - k.mean(1, keepdim=True), v


def _split(x: Tensor, heads: int) -> Tensor:
    """(b, t, d) to (b heads, t, width), contiguous."""
    count, length, _ = x.shape
    return x.view(count, length, heads, -1).transpose(1, 2).reshape(count * heads, length, -1)


def _joined(x: Tensor, count: int) -> Tensor:
    """(b heads, t, width) to (b, t, d)."""
    length = x.shape[1]
    return x.view(count, -1, length, x.shape[2]).transpose(1, 2).reshape(count, length, -1)
