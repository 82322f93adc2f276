"""What a run was asked for, and all that is known of it before its texts are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import torch

from storyteller.engine.network.device import place, set_threads
from storyteller.engine.network.model_config import ModelConfig
from storyteller.engine.network.weights import parameter_count
from storyteller.errors import TrainingError
from storyteller.training.pretraining.events import NetworkPlanned
from storyteller.training.pretraining.export import check_target
from storyteller.training.pretraining.network import can_compile, start_of
from storyteller.training.pretraining.preparation import Texts

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.training.pretraining.recipe import Recipe, Shape

_LARGE: Final = 1_000_000_000


@dataclass(frozen=True)
class Request:
    """A run that was asked for.

    Attributes:
        recipe: with what the command line changed.
        data: the folder of its sources.
        run: the folder of tokens, checkpoints and events.
        out: where the model goes.
        start: a model to go on from, with its shape and tokenizer in place of the recipe's.
        save_every: steps from one checkpoint to the next; None: every two minutes.
    """

    recipe: Recipe
    data: Path
    run: Path
    out: Path
    start: Path | None = None
    device: str = "auto"
    save_every: int | None = None


class Plan:
    """A request with its gaps filled: where it runs, in which precision, of what shape.

    Attributes:
        device: may be changed to a process's own.
        config, recipe: of the model, and the recipe with a start's shape in place of its own.
        texts: what is to be prepared.

    Raises where it is made:
        ModelError, SettingsError, TrainingError: it cannot be done as asked.
    """

    def __init__(self, request: Request) -> None:
        check_target(request.out)
        self.request = request
        set_threads(0)
        self.device = place(request.device, "auto", _LARGE).device
        self.config, self.recipe = _resolved(request)
        start = None if request.start is None else (request.start, self.config)
        self.texts = Texts(self.recipe, request.data, start)

    @property
    def precision(self) -> torch.dtype:
        """What products are computed in."""
        wanted: torch.dtype = getattr(torch, self.recipe.training.dtype)
        return torch.float32 if self.device.type == "mps" else wanted

    @property
    def compiles(self) -> bool:
        """Whether the network is compiled."""
        return self.recipe.training.compile and can_compile(self.device)

    @property
    def micro_batch(self) -> int:
        """Sequences at once to begin with."""
        training = self.recipe.training
        return min(training.micro_batch, training.tokens_per_step // self.recipe.model.context)

    def in_words(self, per_epoch: int | None = None) -> NetworkPlanned:
        """What is about to be done; `per_epoch` windows are an epoch, once that is known.

        Raises:
            CorpusError: a source is missing.
        """
        if per_epoch is None:
            self.texts.key()
        recipe, training = self.recipe, self.recipe.training
        epochs = 0.0
        if per_epoch and training.tokens is not None:
            epochs = training.tokens / (per_epoch * recipe.model.context)
        return NetworkPlanned(
            recipe=recipe.name,
            start=None if self.request.start is None else str(self.request.start),
            device=str(self.device),
            dtype=str(self.precision).removeprefix("torch."),
            compiled=self.compiles,
            parameters=parameter_count(self.config),
            width=recipe.model.width,
            layers=recipe.model.layers,
            heads=recipe.model.heads,
            context=recipe.model.context,
            vocabulary=self.config.vocab_size,
            tokens_per_step=training.tokens_per_step,
            micro_batch=self.micro_batch,
            minutes=training.minutes,
            tokens=training.tokens,
            epochs=round(epochs, 2),
        )


def _resolved(request: Request) -> tuple[ModelConfig, Recipe]:
    """The model's configuration, and the recipe with a start's shape in place of its own.

    Raises:
        ModelError: the start cannot be gone on from.
        TrainingError: a step holds no whole number of the start's sequences.
    """
    recipe = request.recipe
    if request.start is None:
        return _config(recipe.model, recipe.tokenizer.vocabulary), recipe
    shape, config = start_of(request.start)
    if recipe.training.tokens_per_step % shape.context:
        raise TrainingError(
            f"training.tokens_per_step {recipe.training.tokens_per_step} does not divide by the {shape.context} tokens "
            f"that {request.start} reads at once."
        )
    return config, msgspec.structs.replace(recipe, model=shape)


def _config(shape: Shape, vocabulary: int) -> ModelConfig:
    return ModelConfig(
        vocab_size=vocabulary,
        n_positions=shape.context,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
    )
