"""One run from beginning to end: texts to tokens, the network, the loop, the model checked and in its folder."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import torch

from storyteller.atomic import write_atomic
from storyteller.engine.model_folder import model_hash
from storyteller.engine.network.device import is_out_of_memory, place, set_threads
from storyteller.engine.network.model_config import ModelConfig
from storyteller.engine.network.weights import parameter_count
from storyteller.errors import StorytellerError, TrainingError
from storyteller.training import checkpoint as checkpoints
from storyteller.training import processes as launched
from storyteller.training.events import Failed, Resumed, Said, Stopped, to_line
from storyteller.training.loop import Diverged, Interrupted
from storyteller.training.pretraining import export as exports
from storyteller.training.pretraining import shards
from storyteller.training.pretraining.events import (
    Exported,
    GenreTokens,
    Measured,
    NetworkPlanned,
    Prepared,
)
from storyteller.training.pretraining.export import Record
from storyteller.training.pretraining.loop import Progress, Run, load, measure, pretrain
from storyteller.training.pretraining.network import (
    can_compile,
    compile_network,
    make_network,
    read_weights,
    start_of,
)
from storyteller.training.pretraining.preparation import Texts, prepare
from storyteller.training.pretraining.recipe import Recipe  # noqa: TC001 - msgspec reads the annotations
from storyteller.training.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storyteller.training.pretraining.events import PretrainingEvent
    from storyteller.training.pretraining.loop import Saved
    from storyteller.training.pretraining.network import Gpt2
    from storyteller.training.pretraining.recipe import Shape
    from storyteller.training.processes import Processes

_LARGE: Final = 1_000_000_000
_ALL: Final = 1 << 62  # tokens to measure on at the end


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


class Asked(msgspec.Struct, frozen=True):
    """What a checkpoint goes with; a run may be made longer or shorter, and nothing else."""

    recipe: Recipe
    texts: str
    start: str | None


def run_pretraining(
    request: Request,
    tell: Callable[[PretrainingEvent], None],
    *,
    interrupted: Callable[[], bool] = lambda: False,
    resume: bool = False,
    only_prepare: bool = False,
) -> Exported | Stopped | Prepared:
    """Prepare what is not prepared, train, and write the model.

    Args:
        request: what to train.
        tell: gets every event, as the run's own file does.
        interrupted: whether to save and stop now; asked between two steps.
        resume: go on from the newest whole checkpoint.
        only_prepare: end with the tokens.

    Raises:
        TrainingError: it cannot begin, or ended without a result; a `Failed` event was told.
        CorpusError, ModelError, SettingsError: the texts, the start or the recipe cannot be used.
    """
    working = _Working(request, tell)
    exports.check_target(request.out)
    processes, working.device = launched.join(working.device)
    working.processes = processes
    try:
        with working.folder.held() if processes.leads else contextlib.nullcontext():
            return working.run(interrupted, resume=resume, only_prepare=only_prepare)
    finally:
        launched.leave(processes)


def plan(request: Request) -> NetworkPlanned:
    """What a run would do, as far as it is known before the texts are read.

    Raises:
        as `run_pretraining`.
    """
    exports.check_target(request.out)
    working = _Working(request, lambda _: None)
    working.texts.key()  # are the sources there?
    return working.plan()


class _Working:
    def __init__(self, request: Request, tell: Callable[[PretrainingEvent], None]) -> None:
        self.request = request
        self.folder = RunFolder(request.recipe.name, request.run)
        self.processes: Processes = launched.Processes()
        self._listener = tell
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

    def tell(self, event: PretrainingEvent) -> None:
        """To whoever started the run, and to its file, unless the disk has no room for it."""
        if not self.processes.leads:
            return
        with contextlib.suppress(OSError), self.folder.events.open("ab") as stream:
            stream.write(to_line(event))
        self._listener(event)

    def run(
        self, interrupted: Callable[[], bool], *, resume: bool, only_prepare: bool
    ) -> Exported | Stopped | Prepared:
        try:
            prepared, said = self._prepare()
            if only_prepare:
                return said
            resumed = self._checkpoint(prepared.manifest.key, resume=resume)
            self.processes.wait()
            return self._train(prepared, resumed, interrupted)
        except StorytellerError as error:
            self.tell(Failed(message=error.message))
            raise
        except OSError as error:
            message = f"the disk: {error.strerror or error}. Make room, then go on with --resume."
            self.tell(Failed(message=message))
            raise TrainingError(message) from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                self.tell(Failed(message=f"{type(error).__name__}: {str(error)[:300]}"))
                raise
            message = "There is not enough memory for one sequence at once. Make model.context or model.width smaller."
            self.tell(Failed(message=message))
            raise TrainingError(message) from error

    def _prepare(self) -> tuple[shards.Prepared, Prepared]:
        """The tokens: made by the first process, for which the others wait as long as it takes."""
        folder, key = self.request.run / "tokens", self.texts.key()
        reused = shards.open_prepared(folder, key) is not None
        if self.processes.leads:
            found = prepare(self.texts, folder, key, self.tell)
        while not self.processes.leads:
            opened = shards.open_prepared(folder, key)
            if opened is not None:
                found = opened
                break
            time.sleep(1.0)
        said = _prepared(found, reused=reused)
        self.tell(said)
        return found, said

    def _checkpoint(self, texts: str, *, resume: bool) -> Saved | None:
        folder = self.folder.path
        start = None if self.request.start is None else model_hash(self.request.start)
        asked = Asked(_without_length(self.recipe), texts, start)
        if not resume:
            if self.processes.leads:
                if checkpoints.any_in(folder):
                    raise TrainingError(
                        f"An unfinished run is in {folder}. Go on with --resume, or name another --run."
                    )
                write_atomic(self.folder.settings, msgspec.json.encode(asked), mode=0o600)
            return None
        try:
            before = msgspec.json.decode(self.folder.settings.read_bytes(), type=Asked)
        except (OSError, ValueError):  # msgspec's errors, and bytes that are no UTF-8
            before = None
        found, damaged = load(folder)
        if before is None or found is None:
            what = f"{', '.join(damaged)} is damaged" if damaged else "no checkpoint is there"
            raise TrainingError(
                f"The run in {folder} cannot go on: {what}. Name another --run without --resume."
            )
        if before != asked:
            raise TrainingError(
                f"The run in {folder} was begun with {_difference(before, asked)}. Go on with what it was begun with, or "
                "name another --run."
            )
        if damaged:
            self.tell(
                Said(message=f"{', '.join(damaged)} is damaged, so the run goes on from an earlier one.")
            )
        self.tell(Resumed(step=found.progress.step))
        return found

    def _network(self) -> Gpt2:
        recipe = self.recipe
        network = make_network(recipe.model, self.config.vocab_size, self.precision, recipe.training.seed)
        if self.request.start is not None:
            read_weights(network, self.request.start, self.config)
        network.to(self.device)
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        if self.compiles:
            compile_network(network)
        return network

    def _train(
        self, prepared: shards.Prepared, resumed: Saved | None, interrupted: Callable[[], bool]
    ) -> Exported | Stopped:
        training = self.recipe.training
        windows = prepared.windows(self.recipe.model.context, training.seed)
        self.tell(self.plan(windows.per_epoch))
        for advice in filter(None, [launched.how_to_use_all(self.device)]):
            self.tell(Said(message=advice))
        micro_batch = min(training.micro_batch, training.tokens_per_step // self.recipe.model.context)
        run = Run(
            network=self._network(),
            training=training,
            windows=windows,
            held_out=prepared.held_out(),
            folder=self.folder.path,
            tell=self.tell,
            progress=resumed.progress if resumed is not None else Progress(micro_batch=micro_batch),
            interrupted=interrupted,
            processes=self.processes,
            save_every=self.request.save_every,
        )
        try:
            pretrain(run, resumed)
        except Interrupted:
            stopped = Stopped(step=run.progress.step)
            self.tell(stopped)
            return stopped
        except Diverged as error:
            raise TrainingError(
                f"The loss is no number any more after step {run.progress.step}. Begin anew with lower rates, or go on "
                "from the last checkpoint with --resume."
            ) from error
        figures = measure(run, _ALL)
        self.tell(Measured(step=run.progress.step, tokens=run.progress.tokens, bits_per_byte=figures))
        return self._export(run, prepared, figures)

    def _export(self, run: Run, prepared: shards.Prepared, figures: dict[str, float]) -> Exported:
        progress, out = run.progress, self.request.out
        record = Record(
            recipe=self.recipe,
            start=None if self.request.start is None else self.request.start.name,
            texts=prepared.manifest.key,
            step=progress.step,
            tokens=progress.tokens,
            seconds=round(progress.seconds, 1),
            bits_per_byte={genre: round(figure, 4) for genre, figure in figures.items()},
        )
        if self.processes.leads:
            exports.export(out, run.network, prepared.tokenizer, prepared.manifest.end, record)
            checkpoints.remove_all(self.folder.path)
        self.processes.wait()
        exported = Exported(
            path=str(out),
            step=progress.step,
            tokens=progress.tokens,
            seconds=progress.seconds,
            megabytes=(out / "model.safetensors").stat().st_size / 1e6,
            bits_per_byte=figures,
        )
        self.tell(exported)
        return exported

    def plan(self, per_epoch: int | None = None) -> NetworkPlanned:
        """What is about to be done; `per_epoch` windows are an epoch, once that is known."""
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
            micro_batch=training.micro_batch,
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


def _without_length(recipe: Recipe) -> Recipe:
    """`recipe` but for how long, and for what changes no result."""
    training = msgspec.structs.replace(recipe.training, minutes=None, tokens=1, micro_batch=1, compile=True)
    return msgspec.structs.replace(recipe, training=training)


def _difference(before: Asked, now: Asked) -> str:
    if before.recipe != now.recipe:
        return "another recipe"
    return "other texts" if before.texts != now.texts else "another start"


def _prepared(found: shards.Prepared, *, reused: bool) -> Prepared:
    genres = tuple(
        GenreTokens(
            genre=genre.genre,
            documents=genre.documents,
            tokens=genre.tokens,
            bytes=genre.bytes,
            held_out_documents=genre.held_out_documents,
            held_out_tokens=genre.held_out_tokens,
        )
        for genre in found.manifest.genres
    )
    return Prepared(
        path=str(found.folder),
        vocabulary=found.manifest.vocabulary,
        tokens=sum(genre.tokens for genre in genres),
        genres=genres,
        reused=reused,
    )
