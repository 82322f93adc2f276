"""Cards and small adapters on the shelf, for tests that train nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storyteller.engine.model_folder import model_hash
from storyteller.training.adapters.card import Card
from storyteller.training.adapters.publish import publish
from tests.stubs.tiny_gpt2 import write_adapter

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.network.model_config import ModelConfig


def make_card(**fields: Any) -> Card:
    """A card with something in every field."""
    facts: dict[str, Any] = {
        "name": "noir",
        "genre": "stories",
        "base": "tiny",
        "base_hash": "0" * 32,
        "data_hash": "1" * 64,
        "documents": 60,
        "tokens": 12_000,
        "rank": 4,
        "alpha": 8.0,
        "dropout": 0.05,
        "rate": 2e-4,
        "epochs": 3.0,
        "steps": 90,
        "batch": 8,
        "seq": 256,
        "dtype": "float32",
        "seed": 1,
        "perplexity_base": 40.0,
        "perplexity_adapter": 30.0,
        "held_out_documents": 6,
        "train_loss": 3.2,
        "seconds": 61.5,
        "created": "2026-11-28T10:00:00+00:00",
        "version": "0.1",
    }
    return Card(**facts | fields)


def publish_adapter(
    scratch: Path, name: str, model: Path, config: ModelConfig, *, seed: int = 0, rank: int = 4, **fields: Any
) -> Path:
    """A random adapter of `model`, on the shelf; returns its version's folder."""
    folder = write_adapter(scratch / f"{name}-{seed}-{rank}", config, seed=seed, rank=rank)
    facts = {"name": name, "rank": rank, "base_hash": model_hash(model)} | fields
    return publish(name, folder, make_card(**facts))
