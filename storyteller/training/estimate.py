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
_AROUND: Final = 0.7  # GB that torch, peft and the allocator take beside the model


def estimate(
    config: ModelConfig, settings: Settings, micro_batch: int, device: torch.device, *, held_out: int
) -> tuple[float, float]:
    """Seconds of the whole run, measurements included, and gigabytes at its fullest; both within a factor of two."""
    weights = config.n_layer * sum(map(math.prod, product_shapes(config).values()))
    head = config.vocab_size * config.n_embd
    # Forward and the gradient of the activations: two products a weight; none for the frozen weights themselves.
    learned = settings.steps * settings.batch * settings.seq * 4 * (weights + head)
    measured = settings.steps / settings.measure_every * held_out * 2 * (weights + head)
    dtype = getattr(torch, settings.dtype)
    seconds = (learned + measured) / (_SHARE * _rate(config.n_embd, dtype, device))
    each = {"8bit": 1.0, "4bit": 0.55}.get(settings.quantise or "", _BYTES[settings.dtype])
    kept = micro_batch * settings.seq * config.n_layer * (12 * config.n_embd + 3 * config.inner)
    memory = (weights * each + head * _BYTES[settings.dtype] + kept * _BYTES[settings.dtype]) / 1e9
    return round(seconds, 1), round(memory + _AROUND, 2)


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
