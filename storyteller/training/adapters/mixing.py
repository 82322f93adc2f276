"""Several adapters as one new adapter that computes exactly their weighted sum."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.adapter_config import HIGHEST_RANK, AdapterConfig
from storyteller.engine.network.adapters import load_adapter
from storyteller.engine.network.model_config import load_config, product_shapes
from storyteller.errors import AdapterError
from storyteller.training.adapters.card import read_card
from storyteller.training.adapters.derived import untrained_card
from storyteller.training.adapters.layout import write_adapter
from storyteller.training.adapters.publish import publish
from storyteller.training.adapters.shelf import check_name, find_adapter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storyteller.engine.catalogue import Found
    from storyteller.engine.network.adapters import Adapter
    from storyteller.engine.network.model import LowRank
    from storyteller.engine.network.model_config import ModelConfig

STRONGEST: Final = 16.0


def publish_mix(name: str, weights: Mapping[str, float], model: Found) -> Path:
    """Publish the mix of the adapters named in `weights` as the adapter `name`; returns the new version's folder.

    A name that is there already gets a new version, also when it is one of those mixed.

    Raises:
        AdapterError: a name or weight that cannot be, an adapter that is missing or does not fit the model, or
            more than rank 256 in all.
        ModelError: the model cannot be read.
        OSError: the disk failed.
    """
    check_name(name)
    if not weights:
        raise AdapterError("A mix needs at least one adapter, such as poetry=0.8.")
    config = load_config(model.path)
    folders = {given: find_adapter(given, model.path) for given in weights}
    parts = [(load_adapter(folders[given], config), weight) for given, weight in weights.items()]
    settings, layers = concatenated(parts, config)
    parents = {_known_as(given, folders[given]): weight for given, weight in weights.items()}
    strongest = max(weights, key=lambda given: abs(weights[given]))
    cards = {given: card for given, folder in folders.items() if (card := read_card(folder)) is not None}
    made = untrained_card(
        name,
        cards[strongest].genre if strongest in cards else strongest,
        model,
        settings,
        parents=parents,
        datasets=tuple(dict.fromkeys(chain.from_iterable(card.datasets for card in cards.values()))),
    )
    with TemporaryDirectory(prefix="storyteller-") as scratch:
        write_adapter(Path(scratch), settings, layers)
        load_adapter(Path(scratch), config)
        return publish(name, Path(scratch), made)


def concatenated(
    adapters: Sequence[tuple[Adapter, float]], config: ModelConfig
) -> tuple[AdapterConfig, list[dict[str, LowRank]]]:
    """The sum of `adapters`, each times its weight, as one: A beside A, and B, scaled and weighted, below B.

    Its alpha is its rank, so that nothing is left to multiply by. Where an adapter leaves a product alone that
    another changes, zeros stand for it: plain LoRA has one rank for all.

    Raises:
        AdapterError: a weight is no number up to 16, or the ranks sum to more than 256.
    """
    for _, weight in adapters:
        if not math.isfinite(weight) or abs(weight) > STRONGEST:
            raise AdapterError(f"A weight of {weight} makes no sense; use a number up to {STRONGEST:g}.")
    rank = sum(adapter.rank for adapter, _ in adapters)
    if rank > HIGHEST_RANK:
        raise AdapterError(
            f"The ranks sum to {rank}, and an adapter has {HIGHEST_RANK} at most. Mix fewer, or name them together "
            "with --adapter when writing, which has no limit."
        )
    shapes = product_shapes(config)
    changed = frozenset[str]().union(*(adapter.config.parts for adapter, _ in adapters))
    layers = []
    for layer in range(config.n_layer):
        mixed: dict[str, LowRank] = {}
        for part in sorted(changed):
            pairs = [_weighted(adapter, weight, layer, part, shapes[part]) for adapter, weight in adapters]
            mixed[part] = (torch.cat([a for a, _ in pairs], dim=1), torch.cat([b for _, b in pairs], dim=0))
        layers.append(mixed)
    return AdapterConfig(rank=rank, alpha=rank, parts=changed), layers


def _weighted(adapter: Adapter, weight: float, layer: int, part: str, shape: tuple[int, int]) -> LowRank:
    """A (inputs, rank) and B (rank, outputs), B times all that the product is multiplied by."""
    if part not in adapter.layers[layer]:
        return torch.zeros(shape[0], adapter.rank), torch.zeros(adapter.rank, shape[1])
    down, up = adapter.layers[layer][part]
    return down, up * (adapter.scale * weight)


def _known_as(name: str, folder: Path) -> str:
    return name if folder.name == name else f"{name}/{folder.name}"
