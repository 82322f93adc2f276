"""What a model loses in fewer bits: perplexity, and how often and how far its next token differs from float32's.

Tokens are read a few at a time, as a take is written: rows of weights in few bits are in eight bits there too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import torch

from storyteller.engine.core import Core
from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.model_config import product_shapes
from storyteller.engine.protocol import Load
from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.engine.protocol import Dtype

BOUNDS: Final = {"int8": 0.005, "int4": 0.02}
"""How much higher perplexity may be than float32's."""

_WINDOW: Final = 512  # tokens of a stretch, where the model's window has room for them
_PIECE: Final = 8  # tokens read at once


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """A model in one dtype, over one text.

    Attributes:
        bits: of a weight of the products, scales included.
        megabytes: that one token reads.
        agreement: share of positions whose likeliest token is float32's.
        divergence: mean Kullback-Leibler divergence from float32's distribution, nats.
        worse: perplexity over float32's, less 1.
    """

    dtype: str
    bits: float
    megabytes: float
    perplexity: float
    agreement: float
    divergence: float
    worse: float


def compare(
    model: Path, text: str, *, dtypes: Sequence[Dtype] = ("bfloat16", "int8", "int4"), threads: int = 0
) -> Iterator[Quality]:
    """float32, then each of `dtypes`, over `text` on the processor.

    Raises:
        UserError: the text has fewer than two tokens.
        ModelError, EngineError: the model cannot be opened.
    """
    reference: list[
        Tensor
    ] = []  # log-probabilities of every position, float16: 100 kB each for GPT-2's vocabulary
    favourites: list[Tensor] = []  # of float32, before they are rounded
    base = 0.0
    wanted: list[Dtype] = ["float32", *(name for name in dtypes if name != "float32")]
    for dtype in wanted:
        core = Core()
        list(core.load(Load(id="eval", model=str(model), device="cpu", dtype=dtype, threads=threads)))
        opened = core.opened
        ids = opened.tokens.encode(text)
        if len(ids) < 2:
            raise UserError("The text has fewer than two tokens; give a longer one with --text.")
        first = not reference
        loss, agreed, divergence, count = 0.0, 0, 0.0, 0
        for place, (logprobs, targets) in enumerate(_read(opened.network, [opened.tokens.eos, *ids])):
            loss -= float(logprobs.gather(1, targets[:, None]).sum())
            count += len(targets)
            if first:
                reference.append(logprobs.half())
                favourites.append(logprobs.argmax(1))
            exact = reference[place].float()
            agreed += int((favourites[place] == logprobs.argmax(1)).sum())
            divergence += float((exact.exp() * (exact - logprobs)).sum())
        perplexity = math.exp(loss / count)
        base = base or perplexity
        read, config = opened.network.weight_bytes, opened.config
        products = config.n_layer * sum(map(math.prod, product_shapes(config).values()))
        yield Quality(
            dtype=dtype,
            bits=8 * read / (products + config.vocab_size * config.n_embd),
            megabytes=read / 1e6,
            perplexity=perplexity,
            agreement=agreed / count,
            divergence=0.0 if first else max(0.0, divergence / count),
            worse=perplexity / base - 1,
        )


def meets_bounds(rows: Sequence[Quality]) -> bool:
    """Whether weights in few bits are as good as promised."""
    return all(row.worse <= BOUNDS.get(row.dtype, math.inf) for row in rows)


@torch.inference_mode()
def _read(network: Network, ids: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Log-probabilities (n, vocab) after some of `ids`, and the ids that follow (n,), stretch by stretch."""
    window = min(_WINDOW, network.config.n_positions)
    trunk = Trunk(network)
    for start in range(0, len(ids) - 1, window):
        trunk.restart(network)
        end = min(start + window, len(ids) - 1)
        for first in range(start, end, _PIECE):
            piece = ids[first : min(first + _PIECE, end)]
            logits = network.logits(trunk.extend(piece))
            yield torch.log_softmax(logits, -1), torch.tensor(ids[first + 1 : first + 1 + len(piece)])
