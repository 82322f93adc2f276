"""Low-rank products written in PEFT's layout, so that peft itself loads what storyteller made."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import save_file

from storyteller.engine.network.adapter_config import CONFIG, WEIGHTS
from storyteller.training.adapters.publish import sync_path, write_synced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.adapter_config import AdapterConfig
    from storyteller.engine.network.model import LowRank


def write_adapter(folder: Path, config: AdapterConfig, layers: Sequence[Mapping[str, LowRank]]) -> None:
    """Write adapter_config.json and adapter_model.safetensors into the empty folder `folder`.

    Args:
        folder: where to.
        config: its rank and parts are those of `layers`.
        layers: for each layer, from a part's name to A (inputs, rank) and B (rank, outputs).

    Raises:
        OSError: the disk failed.
    """
    tensors = {}
    for number, parts in enumerate(layers):
        for part, (down, up) in parts.items():
            name = f"base_model.model.transformer.h.{number}.{part}"
            tensors[f"{name}.lora_A.weight"] = down.t().contiguous()  # (rank, inputs)
            tensors[f"{name}.lora_B.weight"] = up.t().contiguous()  # (outputs, rank)
    write_synced(folder / CONFIG, config.to_json())
    save_synced(tensors, folder / WEIGHTS)


def save_synced(tensors: dict[str, Tensor], path: Path) -> None:
    """Write `tensors` as the safetensors file `path` and wait until it is on the disk.

    Raises:
        OSError: the disk failed, which safetensors has an error of its own for.
    """
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error
    sync_path(path)
