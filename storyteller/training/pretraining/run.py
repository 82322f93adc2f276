"""One run from beginning to end: texts to tokens, the network, the loop, the model checked and in its folder."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import msgspec
import torch

from storyteller.atomic import write_atomic
from storyteller.engine.model_folder import model_hash
from storyteller.engine.network.weights import parameter_count
from storyteller.errors import TrainingError
from storyteller.training import checkpoint as checkpoints
from storyteller.training import processes as launched
from storyteller.training.events import Said, Stopped
from storyteller.training.loop import Diverged, Interrupted
from storyteller.training.pretraining import export as exports
from storyteller.training.pretraining import shards
from storyteller.training.pretraining.card import Record
from storyteller.training.pretraining.events import (
    Exported,
    GenreTokens,
    Measured,
    Prepared,
)
from storyteller.training.pretraining.loop import Progress, Run, load, measure, measure_on_the_way, pretrain
from storyteller.training.pretraining.network import (
    compile_network,
    make_network,
    read_weights,
)
from storyteller.training.pretraining.planning import Plan
from storyteller.training.pretraining.preparation import prepare
from storyteller.training.pretraining.recipe import Recipe  # noqa: TC001 - msgspec reads the annotations
from storyteller.training.run_folder import RunFolder
from storyteller.training.telling import Teller

if TYPE_CHECKING:
    from collections.abc import Callable

    from storyteller.training.pretraining.events import Preparing, PretrainingEvent
    from storyteller.training.pretraining.loop import Saved
    from storyteller.training.pretraining.network import Gpt2
    from storyteller.training.pretraining.planning import Request
    from storyteller.training.processes import Processes

# The dashes: torchrun takes --run for an option of its own.
_LAUNCHED: Final = "-- storyteller pretrain"
_NO_MEMORY: Final = (
    "There is not enough memory for one sequence at once. Make model.context or model.width smaller."
)
_ALL: Final = 1 << 62  # tokens to measure on at the end


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
    planned = Plan(request)
    processes, planned.device = launched.join(planned.device, _LAUNCHED)
    try:
        working = _Working(planned, tell, processes)
        with working.folder.held() if processes.leads else contextlib.nullcontext():
            return working.run(interrupted, resume=resume, only_prepare=only_prepare)
    finally:
        launched.leave(processes)


class _Working:
    def __init__(self, planned: Plan, tell: Callable[[PretrainingEvent], None], processes: Processes) -> None:
        self.planned = planned
        self.request, self.recipe = planned.request, planned.recipe
        self.folder = RunFolder(self.recipe.name, self.request.run)
        self.processes = processes
        self.tell = Teller(self.folder, tell, processes)

    def run(
        self, interrupted: Callable[[], bool], *, resume: bool, only_prepare: bool
    ) -> Exported | Stopped | Prepared:
        with self.tell.failures(lambda: "then go on with --resume.", _NO_MEMORY):
            key = self.planned.texts.key()
            # Before the texts are read, which takes minutes, and before other texts take these ones' place.
            resumed = None if only_prepare else self._checkpoint(key, resume=resume)
            prepared, said = self._prepare(key, interrupted)
            if only_prepare:
                return said
            self.processes.wait()
            return self._train(prepared, resumed, interrupted)

    def _prepare(self, key: str, interrupted: Callable[[], bool]) -> tuple[shards.Prepared, Prepared]:
        """The tokens: made by the first process, for which the others wait as long as it takes."""
        folder = self.request.run / "tokens"
        found = shards.open_prepared(folder, key)
        reused = found is not None
        if found is None and self.processes.leads:
            found = prepare(self.planned.texts, folder, key, self._telling(interrupted))
        while found is None:
            time.sleep(1.0)
            found = shards.open_prepared(folder, key)
        said = _prepared(found, reused=reused)
        self.tell(said)
        return found, said

    def _telling(self, interrupted: Callable[[], bool]) -> Callable[[Preparing], None]:
        """Tells how far the texts are read, and ends that where it is asked: what is half prepared is made anew."""

        def tell(event: Preparing) -> None:
            self.tell(event)
            if interrupted():
                raise KeyboardInterrupt

        return tell

    def _checkpoint(self, texts: str, *, resume: bool) -> Saved | None:
        folder = self.folder.path
        start = None if self.request.start is None else model_hash(self.request.start)
        asked = Asked(_without_length(self.recipe), texts, start)
        if not resume:
            if self.processes.leads:
                if self.folder.unfinished:
                    raise TrainingError(
                        f"An unfinished run is in {folder}. Go on with --resume, or name another --run."
                    )
                self.folder.events.unlink(missing_ok=True)
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
        self.tell.resumed(found.progress.step, damaged)
        return found

    def _network(self) -> Gpt2:
        recipe = self.recipe
        network = make_network(
            recipe.model, self.planned.config.vocab_size, self.planned.precision, recipe.training.seed
        )
        if self.request.start is not None:
            read_weights(network, self.request.start, self.planned.config)
        network.to(self.planned.device)
        if self.planned.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        if self.planned.compiles:
            compile_network(network)
        return network

    def _train(
        self, prepared: shards.Prepared, resumed: Saved | None, interrupted: Callable[[], bool]
    ) -> Exported | Stopped:
        training = self.recipe.training
        windows = prepared.windows(self.recipe.model.context, training.seed)
        self.tell(self.planned.in_words(windows.per_epoch))
        advice = launched.how_to_use_all(self.planned.device, _LAUNCHED)
        if advice:
            self.tell(Said(message=advice))
        fitting = self.planned.micro_batch
        progress = resumed.progress if resumed is not None else Progress(micro_batch=fitting)
        # Fewer may be asked for when it goes on, never more than fit.
        progress.micro_batch = min(progress.micro_batch, fitting)
        run = Run(
            network=self._network(),
            training=training,
            windows=windows,
            held_out=prepared.held_out(),
            folder=self.folder.path,
            tell=self.tell,
            progress=progress,
            interrupted=interrupted,
            processes=self.processes,
            save_every=self.request.save_every,
        )
        if resumed is None and self.request.start is not None:
            measure_on_the_way(run)
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
            parameters=parameter_count(self.planned.config),
            vocabulary=prepared.manifest.vocabulary,
            texts=prepared.manifest.key,
            genres=_genres(prepared),
            step=progress.step,
            tokens=progress.tokens,
            seconds=round(progress.seconds, 1),
            curve=tuple(progress.curve),
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


def _without_length(recipe: Recipe) -> Recipe:
    """`recipe` but for how long, and for what changes no result."""
    training = msgspec.structs.replace(recipe.training, minutes=None, tokens=1, micro_batch=1, compile=True)
    return msgspec.structs.replace(recipe, training=training)


def _difference(before: Asked, now: Asked) -> str:
    if before.recipe != now.recipe:
        return "another recipe"
    return "other texts" if before.texts != now.texts else "another start"


def _genres(prepared: shards.Prepared) -> tuple[GenreTokens, ...]:
    """What a reader is told of each genre."""
    return tuple(
        GenreTokens(**{name: getattr(genre, name) for name in GenreTokens.__struct_fields__})
        for genre in prepared.manifest.genres
    )


def _prepared(found: shards.Prepared, *, reused: bool) -> Prepared:
    genres = _genres(found)
    return Prepared(
        path=str(found.folder),
        vocabulary=found.manifest.vocabulary,
        tokens=sum(genre.tokens for genre in genres),
        genres=genres,
        reused=reused,
    )
