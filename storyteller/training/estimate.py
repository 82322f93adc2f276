"""How long a run will take and how much memory it wants, before it begins."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.model_config import product_shapes

if TYPE_CHECKING:
    from storyteller.engine.network.model_config import ModelConfig
    from storyteller.training.settings import Settings

_SHARE: Final = 0.5  # of a plain product's speed that a whole step reaches
_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}
# Memory of the machine, fitted to the most that runs of three steps held (see the tests):
_AROUND: Final = 0.55e9  # bytes of torch, transformers and peft themselves
# Bytes of a number that learns: itself, its slope, AdamW's two, the best so far, and a copy on its way to the disk.
_EACH_LEARNED: Final = 24
_LOGITS: Final = 3 * 256 * 4  # bytes a word of the vocabulary: of 256 rows, their softmax and its slope
_PACKED: Final = 1.1  # of the weights, as the engine lays them out
# What stays takes half as much again in the allocator's heap, between what went.
_HOLES: Final = 1.5
# A block's backward holds as much at once as six blocks keep: masks, inputs worked out again, slopes.
_IN_PASSING: Final = 6


def estimate(
    config: ModelConfig,
    settings: Settings,
    micro_batch: int,
    device: torch.device,
    *,
    held_out: int,
    recompute: bool = False,
) -> tuple[float, float]:
    """Seconds of the whole run, measurements included, within a factor of two; and gigabytes at its fullest.

    Gigabytes are those the run cannot do without: pages of the weights' file count no more once they were read.
    """
    weights = config.n_layer * sum(map(math.prod, product_shapes(config).values()))
    head = config.vocab_size * config.n_embd
    # Forward and the gradient of the activations: two products a weight; none for the frozen weights themselves.
    learned = settings.steps * settings.batch * settings.seq * 4 * (weights + head)
    measured = settings.steps / settings.measure_every * held_out * 2 * (weights + head)
    dtype = getattr(torch, settings.dtype)
    seconds = (learned + measured) / (_SHARE * _rate(config.n_embd, dtype, device))
    return round(seconds, 1), round(
        _memory(config, settings, micro_batch, device, recompute=recompute) / 1e9, 2
    )


def _memory(
    config: ModelConfig, settings: Settings, micro_batch: int, device: torch.device, *, recompute: bool
) -> float:
    """Bytes where there are most: in a step's backward, or when the adapter is loaded again for the engine's weights."""
    weights = config.n_layer * sum(map(math.prod, product_shapes(config).values()))
    head = config.vocab_size * config.n_embd
    each = _BYTES[settings.dtype]
    base = weights * {"8bit": 1.0, "4bit": 0.55}.get(settings.quantise or "", each) + head * each
    kept = micro_batch * settings.seq * _kept(config, settings, device, recompute=recompute) * each
    learned = adapter_size(config, settings.rank)
    step = base + learned * _EACH_LEARNED + config.vocab_size * _LOGITS + kept
    # The head a second time, centred, and in float32 while it is; of the adapter, the best and what is read again.
    check = (weights + head) * each * _PACKED + head * (each + 3 * 4) + learned * 2 * 4
    return _AROUND + max(step, check)


def adapter_size(config: ModelConfig, rank: int) -> int:
    """How many numbers learn: inputs and outputs of every product, times the rank."""
    return config.n_layer * rank * sum(map(sum, product_shapes(config).values()))


def _kept(config: ModelConfig, settings: Settings, device: torch.device, *, recompute: bool) -> float:
    """Numbers that a token of a step leaves in memory until its slopes are known, where there are most."""
    d, inner = config.n_embd, config.inner
    if device.type == "cpu" and settings.quantise is None:
        # The input of each product before its norm or activation (d, d, d, inner), queries, keys and values (3 d), and
        # the low-rank products' middles: everything else is worked out again.
        block = 6 * d + inner + 4 * settings.rank
    else:
        block = 12 * d + 3 * inner  # what autograd keeps of the operators one by one
    if recompute:
        return config.n_layer * d * _HOLES + (1 + _IN_PASSING) * block
    return (config.n_layer * _HOLES + _IN_PASSING) * block


def _rate(width: int, dtype: torch.dtype, device: torch.device) -> float:
    """Operations a second of a product as the model has them, measured for a tenth of a second."""
    x = torch.randn(512, width, dtype=dtype, device=device)
    w = torch.randn(width, 4 * width, dtype=dtype, device=device)
    _wait(x @ w, device)
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < 0.1:
        _wait(x @ w, device)
        count += 1
    return count * 2 * 512 * width * 4 * width / (time.perf_counter() - started)


def _wait(result: torch.Tensor, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    del result
