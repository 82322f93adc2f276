"""GPT-2's forward pass for learning: the modules are transformers' and peft's, the arithmetic keeps only what it must.

Against calling peft's model (gpt2-large, bfloat16): low-rank products are computed in the base's precision instead of
casting every input to float32, attention writes no mask, and logits exist for some rows at a time, with their gradient
taken at once (206 MB for each copy of 1,024 rows otherwise).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from storyteller.training.data import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_ROWS: Final = 256  # logits at once
_PLAIN: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
}


class Learner:
    """A `GPT2LMHeadModel` under peft's LoRA as a loss of token ids.

    Attributes:
        model: peft's model; its state dictionary is what is saved.
    """

    def __init__(self, model: Any, *, recompute: bool = False) -> None:
        self.model = model
        self._gpt2 = model.base_model.model.transformer
        self._config = model.base_model.model.config
        self._recompute = recompute
        self._activation = _PLAIN.get(self._config.activation_function)

    @property
    def window(self) -> int:
        """Positions: the longest a sequence may be."""
        window: int = self._config.n_positions
        return window

    @property
    def head(self) -> Tensor:
        """(vocab, d): what rows meet after the final norm."""
        weight: Tensor = self.model.base_model.model.lm_head.weight
        return weight

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The sum of nats of `targets` (b, t), `IGNORED` ones not counted, after `ids` (b, t); float32 scalar."""
        hidden = self.hidden(ids)
        total: Tensor = _ChunkedLoss.apply(hidden.flatten(0, 1), self.head, targets.flatten())  # type: ignore[no-untyped-call]
        return total

    def hidden(self, ids: Tensor) -> Tensor:
        """(b, t, d) after the final norm."""
        gpt2, training = self._gpt2, self.model.training
        places = torch.arange(ids.shape[1], device=ids.device)
        x = gpt2.wte(ids) + gpt2.wpe(places)
        x = functional.dropout(x, gpt2.drop.p, training)
        for layer, block in enumerate(gpt2.h):
            if self._recompute and torch.is_grad_enabled():
                x = checkpoint(self._block, block, layer, x, use_reentrant=False)
            else:
                x = self._block(block, layer, x)
        return _norm(gpt2.ln_f, x)

    def _block(self, block: Any, layer: int, x: Tensor) -> Tensor:
        training = self.model.training
        attention, mlp = block.attn, block.mlp
        qkv = _linear(attention.c_attn, _norm(block.ln_1, x))
        gathered = self._attend(qkv, layer, training=training)
        x = x + functional.dropout(_linear(attention.c_proj, gathered), attention.resid_dropout.p, training)
        widened = _linear(mlp.c_fc, _norm(block.ln_2, x))
        widened = self._activation(widened) if self._activation else mlp.act(widened)
        return x + functional.dropout(_linear(mlp.c_proj, widened), mlp.dropout.p, training)

    def _attend(self, qkv: Tensor, layer: int, *, training: bool) -> Tensor:
        """Queries, keys and values (b, t, 3 d) to what the heads gathered (b, t, d)."""
        config = self._config
        rate = config.attn_pdrop if training else 0.0
        scale = (config.n_embd // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            scale /= layer + 1
        if rate and torch.is_grad_enabled():  # dropped weights are (heads, t, t): made again, not kept
            gathered: Tensor = checkpoint(_gather, qkv, config.n_head, scale, rate, use_reentrant=False)
            return gathered
        return _gather(qkv, config.n_head, scale, rate)


def _gather(qkv: Tensor, heads: int, scale: float, rate: float) -> Tensor:
    rows, count, triple = qkv.shape
    q, k, v = qkv.view(rows, count, 3, heads, -1).permute(2, 0, 3, 1, 4)  # each (b, heads, t, width)
    gathered = functional.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True, scale=scale)
    return gathered.transpose(1, 2).reshape(rows, count, triple // 3)


def _norm(norm: Any, x: Tensor) -> Tensor:
    return functional.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _linear(part: Any, x: Tensor) -> Tensor:
    """A linear of a block: adapted by peft or not, of floats (`Conv1D`: x W + b) or bitsandbytes' own."""
    base = getattr(part, "base_layer", part)
    if type(base).__name__ != "Conv1D":
        result: Tensor = part(x)
        return result
    flat = x.flatten(0, -2)
    y = torch.addmm(base.bias, flat, base.weight)
    for name in getattr(part, "active_adapters", ()):
        if name in part.lora_A:
            dropped = part.lora_dropout[name](flat)
            low = dropped @ part.lora_A[name].weight.t().to(x.dtype)
            y = torch.addmm(y, low, part.lora_B[name].weight.t().to(x.dtype), alpha=part.scaling[name])
    return y.view(*x.shape[:-1], y.shape[-1])


class _ChunkedLoss(torch.autograd.Function):
    """Cross entropy of rows (n, d) against a frozen head (vocab, d), some rows' logits at a time; the gradient at once."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        """The sum of nats over targets that count."""
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        wants_gradient = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wants_gradient else None
        for start in range(0, len(hidden), _ROWS):
            rows, aims = hidden[start : start + _ROWS], targets[start : start + _ROWS]
            logprobs = torch.log_softmax((rows @ head.t()).float(), dim=-1)
            counted = aims != IGNORED
            places = aims.clamp(min=0)[:, None]
            total -= (logprobs.gather(1, places)[:, 0] * counted).sum()
            if gradient is not None:
                slope = logprobs.exp_()
                slope.scatter_add_(1, places, -torch.ones_like(slope[:, :1]))
                slope *= counted[:, None]
                gradient[start : start + _ROWS] = slope.to(hidden.dtype) @ head
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of `hidden`."""
        (gradient,) = ctx.saved_tensors
        return gradient * above.to(gradient.dtype), None, None
