"""An adapter that others made, taken onto the writer's shelf after every check that the engine makes of one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from storyteller.engine.model_folder import model_hash
from storyteller.engine.network.adapters import load_adapter
from storyteller.engine.network.model_config import load_config
from storyteller.errors import AdapterError
from storyteller.training.adapters.card import read_card
from storyteller.training.adapters.derived import untrained_card
from storyteller.training.adapters.layout import write_adapter
from storyteller.training.adapters.publish import publish
from storyteller.training.adapters.shelf import check_name

if TYPE_CHECKING:
    from storyteller.engine.catalogue import Found

_NOTE = "Made elsewhere; its settings and numbers were checked when it was taken in."


def take_in(folder: Path, name: str, model: Found, *, genre: str = "") -> Path:
    """Publish the adapter in `folder` as `name`, for `model`; returns the new version's folder.

    What is published is written anew from the checked settings and numbers: nothing else of `folder` comes along.

    Raises:
        AdapterError: `name` cannot be one, the adapter is damaged, hostile or no plain LoRA, or it was trained on
            another model.
        ModelError: the model cannot be read.
        OSError: the disk failed.
    """
    check_name(name)
    adapter = load_adapter(folder, load_config(model.path))
    card = read_card(folder)
    if card is not None and card.base_hash != model_hash(model.path):
        raise AdapterError(
            f"{folder} was trained on {card.base[:60]!r}, as its card says, and not on {model.name}. "
            "Name that model with --model."
        )
    if card is None:
        card = untrained_card(name, genre or name, model, adapter.config, notes=(_NOTE,))
    else:
        card = msgspec.structs.replace(card, name=name, genre=genre or card.genre, notes=(*card.notes, _NOTE))
    with TemporaryDirectory(prefix="storyteller-") as scratch:
        write_adapter(Path(scratch), adapter.config, adapter.layers)
        return publish(name, Path(scratch), card)
