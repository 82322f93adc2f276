"""One pass of the kernels over static buffers: the launches of a step, in order, on the current stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
import triton
import triton.language as tl

from storyteller.engine.network.cuda import kernels
from storyteller.engine.network.cuda.draw import KernelDraw, kernel_draw
from storyteller.engine.network.cuda.plan import HEADER, MOST_ROWS, ROW_SIZE, Plan
from storyteller.engine.network.cuda.weights import CudaLinear
from storyteller.engine.network.linear import DenseLinear

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.cuda.plan import Cut
    from storyteller.engine.network.linear import Linear
    from storyteller.engine.network.model import Network, Norm
    from storyteller.engine.network.step import Draw

_CACHES: Final = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


class Launches:
    """The kernels of one network and the buffers between them.

    Attributes:
        command: (HEADER + MOST_ROWS * ROW_SIZE,) int64, what changes from step to step; `step` fills it.
        hidden: (MOST_ROWS, d) float32, what a step leaves.
        logits: (MOST_ROWS, vocab) float32, what `head` leaves.
    """

    def __init__(self, network: Network, plan: Plan) -> None:
        config, device = network.config, network.device
        self._network, self._plan = network, plan
        self._heads, self._width = config.n_head, config.head_dim
        self._cache = _CACHES[network.dtype]
        self._pdl = plan.pdl

        def rows(width: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(MOST_ROWS, width, dtype=dtype, device=device)

        self.command = torch.zeros(HEADER + MOST_ROWS * ROW_SIZE, dtype=torch.int64, device=device)
        self.hidden = rows(config.n_embd)
        self.logits = rows(config.vocab_size)
        self._x = rows(config.n_embd)
        self._queries = rows(config.n_embd)
        self._widened = rows(config.inner, network.dtype)
        self._gathered = rows(plan.splits * config.n_embd)
        self._scores = rows(plan.splits * config.n_head)

    def step(self, rows: int, *, branches: bool) -> None:
        """Read the first `rows` rows of `command`; `branches`: some may have one."""
        network, config = self._network, self._network.config
        wide = triton.next_power_of_2(config.n_embd)
        kernels.embed[(rows,)](
            self.command, network.token_embedding, network.position_embedding, self._x,
            WIDTH=config.n_embd, BLOCK=wide, **self._options(4),
        )  # fmt: skip
        for layer, block in enumerate(network.blocks):
            self._product(
                rows, block.attention_in, self._plan.attention_in, self._x, self._queries, "qkv",
                norm=block.norm_1, layer=layer,
            )  # fmt: skip
            self._attention(rows, layer, config.attention_scale(layer), branches=branches)
            self._product(
                rows, block.attention_out, self._plan.attention_out, self._gathered, self._x, "add",
                splits=self._plan.splits,
            )  # fmt: skip
            self._product(
                rows, block.mlp_in, self._plan.mlp_in, self._x, self._widened, "gelu", norm=block.norm_2
            )
            self._product(rows, block.mlp_out, self._plan.mlp_out, self._widened, self._x, "add")
        kernels.final_norm[(rows,)](
            self.command, self._x, network.norm.weight, network.norm.bias, self.hidden,
            config.layer_norm_epsilon, WIDTH=config.n_embd, BLOCK=wide, **self._options(4),
        )  # fmt: skip

    def head(self, rows: int) -> None:
        """The logits of the first `rows` of `hidden`."""
        self._product(rows, self._network.head, self._plan.head, self.hidden, self.logits, "store")

    def draw(self, draw: Draw) -> KernelDraw | None:
        """`draw` by kernels, where it has some."""
        return kernel_draw(draw, self._network.config.vocab_size)

    def _attention(self, rows: int, layer: int, scale: float, *, branches: bool) -> None:
        kernels.attention[(self._plan.splits, self._heads, rows)](
            self.command, self._queries, self._gathered, self._scores, layer, scale,
            HEADS=self._heads, WIDTH=self._width, SPLITS=self._plan.splits, BLOCK=self._plan.positions,
            BRANCHES=branches, CACHE=self._cache, **self._options(self._plan.attention_warps),
        )  # fmt: skip

    def _product(
        self,
        rows: int,
        part: Linear,
        cut: Cut,
        source: Tensor,
        out: Tensor,
        sink: str,
        *,
        norm: Norm | None = None,
        splits: int = 0,
        layer: int = 0,
    ) -> None:
        weight, scales, bias, bits = operands(part)
        outputs, inputs = out_and_in(part)
        block = (
            max(1, cut.block // 2) if rows > 1 else cut.block
        )  # two rows of four outputs spill 40 registers
        kernels.product[(triton.cdiv(outputs, block),)](
            self.command, source, self._scores,
            self.hidden if norm is None else norm.weight, self.hidden if norm is None else norm.bias,
            weight, weight if scales is None else scales, weight if bias is None else bias, out,
            layer, self._network.config.layer_norm_epsilon,
            ROWS=rows, INPUTS=inputs, OUTPUTS=outputs, BLOCK=block, CHUNK=chunk_of(inputs, cut.chunk),
            BITS=bits, NORM=norm is not None, BIAS=bias is not None,
            SINK=sink, HEADS=self._heads, HEAD_WIDTH=self._width, SPLITS=splits, CACHE=self._cache,
            **self._options(cut.warps),
        )  # fmt: skip

    def _options(self, warps: int) -> dict[str, Any]:
        return {"PDL": self._pdl, "num_warps": warps, "launch_pdl": self._pdl}


def operands(part: Linear) -> tuple[Tensor, Tensor | None, Tensor | None, int]:
    """What the kernel reads of a product: weight, scales, bias, and bits of a weight (16 for any float).

    Raises:
        TypeError: it has another form.
    """
    if isinstance(part, CudaLinear):
        return part.data, part.scales, part.bias, part.bits
    if type(part) is DenseLinear:
        return part.weight, None, part.bias, 16
    raise TypeError(f"no kernel reads a {type(part).__name__}")


def out_and_in(part: Linear) -> tuple[int, int]:
    """Outputs and inputs of a product."""
    if isinstance(part, CudaLinear):
        return part.outputs, part.inputs
    assert isinstance(part, DenseLinear)  # noqa: S101 - `operands` has seen to it
    return part.weight.shape[0], part.weight.shape[1]


def chunk_of(inputs: int, most: int) -> int:
    """The largest power of two up to `most` that divides `inputs`."""
    return min(inputs & -inputs, most)
