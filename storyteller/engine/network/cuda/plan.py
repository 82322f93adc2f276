"""How the kernels are cut up: what may be tuned without changing a result but by rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_ROWS: Final = 8  # of one step; more go in several
HEADER: Final = 8  # numbers of a command before its rows; see `step.CudaStep`
ROW_SIZE: Final = 5


@dataclass(frozen=True)
class Cut:
    """How a product is shared out.

    Attributes:
        block: outputs of a program, a power of two that divides a head's width.
        chunk: inputs of one load, at most; a power of two.
        warps: of a program.
    """

    block: int
    chunk: int
    warps: int


@dataclass(frozen=True)
class Plan:
    """All of it, for H100 and H200: enough programs for 132 multiprocessors, and their weights in flight at once.

    Attributes:
        splits: parts that a query's positions are shared out to, a power of two.
        positions: of a part, looked at together.
        pdl: whether a kernel may start, and load its weights, while the one before it runs.
    """

    attention_in: Cut = Cut(4, 256, 1)
    attention_out: Cut = Cut(2, 256, 1)
    mlp_in: Cut = Cut(4, 256, 1)
    mlp_out: Cut = Cut(2, 1024, 4)
    head: Cut = Cut(4, 256, 1)
    splits: int = 4
    positions: int = 128
    attention_warps: int = 4
    pdl: bool = True
