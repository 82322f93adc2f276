"""Cards of adapters that were not trained here: mixes, and what others made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from storyteller import __version__
from storyteller.engine.model_folder import model_hash
from storyteller.training.adapters.card import Card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storyteller.engine.catalogue import Found
    from storyteller.engine.network.adapter_config import AdapterConfig


def untrained_card(
    name: str,
    genre: str,
    base: Found,
    config: AdapterConfig,
    *,
    parents: Mapping[str, float] | None = None,
    datasets: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Card:
    """A card with what is known of any adapter: its shape and its base; nothing is claimed about data or quality.

    Raises:
        ModelError: the base cannot be read.
    """
    return Card(
        name=name,
        genre=genre,
        base=base.name,
        base_hash=model_hash(base.path),
        data_hash="",
        documents=0,
        tokens=0,
        rank=config.rank,
        alpha=config.alpha,
        dropout=config.dropout,
        rate=0.0,
        epochs=0.0,
        steps=0,
        batch=0,
        seq=0,
        dtype="float32",
        seed=0,
        perplexity_base=None,
        perplexity_adapter=None,
        held_out_documents=0,
        train_loss=None,
        seconds=0.0,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        datasets=datasets,
        parents=dict(parents or {}),
        notes=notes,
    )
