"""GPT-2's forward pass for learning: the modules are transformers' and peft's, the arithmetic keeps only what it must.

Against calling peft's model (gpt2-large, bfloat16): low-rank products are computed in the base's precision instead of
casting every input to float32, and logits exist for some rows at a time, with their gradient taken at once (206 MB for
each copy of 1,024 rows otherwise). On a processor, what leads from one product to the next is not kept
(`storyteller.training.operators`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from storyteller.training.dropping import add_dropped
from storyteller.training.head_loss import head_loss
from storyteller.training.operators import Frozen, adapted
from storyteller.training.operators import attention as attention_on_processor

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
        return head_loss(hidden.flatten(0, 1), self.head, targets.flatten(), _ROWS)

    def hidden(self, ids: Tensor) -> Tensor:
        """(b, t, d) after the final norm."""
        gpt2 = self._gpt2
        places = torch.arange(ids.shape[1], device=ids.device)
        x = gpt2.wte(ids) + gpt2.wpe(places)
        x = functional.dropout(x, gpt2.drop.p, self.model.training)
        for layer, block in enumerate(gpt2.h):
            if self._recompute and torch.is_grad_enabled():
                x = checkpoint(self._block, block, layer, x, use_reentrant=False)
            else:
                x = self._block(block, layer, x)
        return _norm(gpt2.ln_f, x)

    def _block(self, block: Any, layer: int, x: Tensor) -> Tensor:
        attention, mlp = block.attn, block.mlp
        qkv = _linear(attention.c_attn, x, partial(_norm, block.ln_1))
        gathered = _linear(attention.c_proj, self._attend(qkv, layer))
        x = self._add(x, gathered, attention.resid_dropout.p)
        widened = _linear(mlp.c_fc, x, partial(_norm, block.ln_2))
        return self._add(x, _linear(mlp.c_proj, widened, self._activation or mlp.act), mlp.dropout.p)

    def _add(self, x: Tensor, y: Tensor, rate: float) -> Tensor:
        """The residual and what is left of a part's result."""
        if not self.model.training or not rate:
            return x + y
        if x.device.type == "cpu":
            return add_dropped(x, y, rate)
        return x + functional.dropout(y, rate)

    def _attend(self, qkv: Tensor, layer: int) -> Tensor:
        """Queries, keys and values (b, t, 3 d) to what the heads gathered (b, t, d)."""
        config = self._config
        rate = config.attn_pdrop if self.model.training else 0.0
        scale = (config.n_embd // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            scale /= layer + 1
        if qkv.requires_grad and qkv.device.type == "cpu":
            return attention_on_processor(qkv, config.n_head, scale, rate)
        return _gather(qkv, config.n_head, scale, rate)


def _gather(qkv: Tensor, heads: int, scale: float, rate: float) -> Tensor:
    rows, count, triple = qkv.shape
    q, k, v = qkv.view(rows, count, 3, heads, -1).permute(2, 0, 3, 1, 4)  # each (b, heads, t, width)
    gathered = functional.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True, scale=scale)
    return gathered.transpose(1, 2).reshape(rows, count, triple // 3)


def _norm(norm: Any, x: Tensor) -> Tensor:
    return functional.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _linear(part: Any, x: Tensor, before: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """A linear of a block after what is done to its input: of floats (`Conv1D`: x W + b) or bitsandbytes' own."""
    base = getattr(part, "base_layer", part)
    flat = x.flatten(0, -2)
    if type(base).__name__ != "Conv1D":
        y: Tensor = part(before(flat) if before else flat)
        return y.view(*x.shape[:-1], y.shape[-1])
    active = [name for name in getattr(part, "active_adapters", ()) if name in part.lora_A]
    if x.device.type == "cpu" and len(active) == 1:
        (name,) = active
        dropout = part.lora_dropout[name]
        rate = dropout.p if dropout.training and hasattr(dropout, "p") else 0.0
        low = (part.lora_A[name].weight.to(x.dtype), part.lora_B[name].weight.to(x.dtype))
        y = adapted(flat, *low, Frozen(base.weight, base.bias, before, part.scaling[name], rate))
        return y.view(*x.shape[:-1], y.shape[-1])
    if before:
        flat = before(flat)
    y = torch.addmm(base.bias, flat, base.weight)
    for name in active:
        dropped = part.lora_dropout[name](flat)
        lower = dropped @ part.lora_A[name].weight.t().to(x.dtype)
        y = torch.addmm(y, lower, part.lora_B[name].weight.t().to(x.dtype), alpha=part.scaling[name])
    return y.view(*x.shape[:-1], y.shape[-1])
