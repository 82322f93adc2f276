"""One run from beginning to end: texts to tokens, the base opened, the loop, the adapter checked and put on the shelf."""

from __future__ import annotations

import contextlib
import hashlib
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec
import torch

from storyteller import __version__
from storyteller.atomic import write_atomic
from storyteller.engine.model_folder import model_hash
from storyteller.engine.network.device import is_out_of_memory, place, release_memory, set_threads
from storyteller.engine.network.model_config import ModelConfig, load_config
from storyteller.engine.network.weights import parameter_count
from storyteller.engine.prompt.tokens import Tokens, load_tokens
from storyteller.errors import StorytellerError, TrainingError
from storyteller.training import checkpoint as checkpoints
from storyteller.training import processes as launched
from storyteller.training.adapters.card import Card
from storyteller.training.adapters.publish import publish
from storyteller.training.base import open_learner
from storyteller.training.checkpoint import Checkpoint, Progress
from storyteller.training.data import Pieces, Windows, measured_windows, tokenise
from storyteller.training.estimate import estimate
from storyteller.training.events import Failed, Finished, Planned, Resumed, Said, Stopped, to_line
from storyteller.training.examples import MixedWindows, read_examples
from storyteller.training.loop import Diverged, Interrupted, Run, train
from storyteller.training.result import write_result
from storyteller.training.sample import sampler
from storyteller.training.settings import Settings, Wanted, check, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storyteller.engine.catalogue import Found
    from storyteller.genres import Genre
    from storyteller.training.corpus.document import Document
    from storyteller.training.events import AnyEvent
    from storyteller.training.processes import Processes
    from storyteller.training.run_folder import RunFolder

_LARGE: Final = 1_000_000_000  # parameters


class Asked(msgspec.Struct, frozen=True):
    """What a checkpoint goes with: a run is only resumed if all of it is the same."""

    settings: Settings
    base_hash: str
    data_hash: str


@dataclass(frozen=True)
class Request:
    """A run that was asked for.

    Attributes:
        name: of the adapter.
        warnings: what is to be said of the texts beforehand.
        kept_spans: an `sft` data set of the feedback log, learned beside the documents.
        datasets: its hash, so that a purge finds the adapters that were made of it.
        save_every: steps from one checkpoint to the next; None: every two minutes.
    """

    genre: Genre
    name: str
    found: Found
    documents: Sequence[Document]
    wanted: Wanted = field(default_factory=Wanted)
    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0
    warnings: tuple[str, ...] = ()
    kept_spans: bytes = b""
    datasets: tuple[str, ...] = ()
    save_every: int | None = None


class Preparation:
    """Everything known before the base is opened; all that `--dry-run` needs.

    Raises where it is made:
        TrainingError, CorpusError, ModelError, UserError: it cannot be done as asked.
    """

    def __init__(self, request: Request) -> None:
        check(request.wanted)
        self.request = request
        self.threads = set_threads(request.threads)
        self.config: ModelConfig = load_config(request.found.path)
        self.parameters = parameter_count(self.config)
        # Few-bit weights are for writing; a base that learns is held in floats, or by bitsandbytes.
        wanted = "auto" if request.dtype in {"int8", "int4"} else request.dtype
        # As a large model would be: products of many rows gain from bfloat16 in small models too (starter: 1.9 times).
        placement = place(request.device, wanted, max(self.parameters, _LARGE))  # type: ignore[arg-type] # checked there
        dtype = torch.float32 if placement.device.type == "mps" else placement.dtype
        if dtype == torch.float16:
            dtype = torch.float32  # gradients of half-precision floats vanish without a scaler
        self.device = placement.device
        self.notes = placement.notes
        self.tokens: Tokens = load_tokens(
            request.found.path, vocab_size=self.config.vocab_size, eos=self.config.eos
        )
        texts = [_whole(document) for document in request.documents]
        self.pieces: Pieces = tokenise(
            texts, self.tokens.encode, self.tokens.eos, whole=request.genre.end_documents
        )
        self.settings = resolved(
            request.wanted,
            parameters=self.parameters,
            window=self.config.n_positions,
            tokens=self.pieces.tokens,
            dtype=str(dtype).removeprefix("torch."),
        )
        self.windows = self._windows()

    def _windows(self) -> Windows:
        seq, seed, kept = self.settings.seq, self.settings.seed, self.request.kept_spans
        if not kept:
            return Windows(self.pieces.read, seq, seed)
        examples = read_examples(
            kept, self.tokens.encode, eos=self.tokens.eos, model_hash=model_hash(self.request.found.path)
        )
        return MixedWindows(self.pieces.read, seq, seed, examples, self.tokens.eos)

    @cached_property
    def data_hash(self) -> str:
        """Of everything that is learned from."""
        kept = self.request.kept_spans
        return hashlib.sha256(self.pieces.hash.encode() + kept).hexdigest() if kept else self.pieces.hash

    @cached_property
    def asked(self) -> Asked:
        """What a checkpoint of this run goes with."""
        return Asked(self.settings, model_hash(self.request.found.path), self.data_hash)

    @property
    def micro_batch(self) -> int:
        """Sequences at once to begin with: on a processor more would save nothing."""
        wanted = self.request.wanted.micro_batch
        few = max(1, 1024 // self.settings.seq) if self.device.type == "cpu" else 8
        return min(wanted or few, self.settings.batch)

    def plan(self) -> Planned:
        """What will be done."""
        settings, pieces = self.settings, self.pieces
        seconds, memory_gb = estimate(
            self.config, settings, self.micro_batch, self.device, held_out=pieces.held_out_tokens
        )
        return Planned(
            genre=self.request.genre.name,
            base=self.request.found.name,
            device=self.device.type,
            dtype=settings.quantise or settings.dtype,
            documents=pieces.documents,
            held_out_documents=pieces.held_out_documents,
            tokens=pieces.tokens,
            held_out_tokens=pieces.held_out_tokens,
            steps=settings.steps,
            epochs=round(settings.steps * settings.batch / self.windows.per_epoch, 2),
            batch=settings.batch,
            micro_batch=self.micro_batch,
            seq=settings.seq,
            rank=settings.rank,
            alpha=settings.alpha,
            dropout=settings.dropout,
            rate=settings.rate,
            parameters=self.config.n_layer * settings.rank * _widths(self.config),
            seconds=seconds,
            memory_gb=memory_gb,
            warnings=(*self.request.warnings, *self.notes),
        )


def run_training(
    request: Request,
    folder: RunFolder,
    tell: Callable[[AnyEvent], None],
    *,
    interrupted: Callable[[], bool] = lambda: False,
    resume: bool = False,
    restart: bool = False,
) -> Finished | Stopped:
    """Train the adapter of `request` in `folder`, which no other process works on.

    Args:
        request: what to train.
        folder: of the genre's run.
        tell: gets every event, as the run's own file does.
        interrupted: whether to save and stop now; asked between two steps.
        resume: go on from the newest whole checkpoint.
        restart: throw an unfinished run away.

    Raises:
        TrainingError: it cannot begin, or ended without a result; a `Failed` event was told.
        CorpusError, ModelError, UserError: the texts, the base or an option cannot be used.
    """
    prepared = Preparation(request)
    processes, device = launched.join(prepared.device)
    prepared.device = device
    try:
        with folder.held() if processes.leads else contextlib.nullcontext():
            return _Working(prepared, folder, tell, processes).run(
                interrupted, resume=resume, restart=restart
            )
    finally:
        launched.leave(processes)


class _Working:
    def __init__(
        self,
        prepared: Preparation,
        folder: RunFolder,
        tell: Callable[[AnyEvent], None],
        processes: Processes,
    ) -> None:
        self._prepared = prepared
        self._folder = folder
        self._listener = tell
        self._processes = processes

    def run(self, interrupted: Callable[[], bool], *, resume: bool, restart: bool) -> Finished | Stopped:
        resumed = self._checkpoint(resume=resume, restart=restart)
        if self._processes.leads:
            self._folder.wish("go")
            if resumed is None:
                self._folder.events.unlink(missing_ok=True)
                write_atomic(self._folder.settings, msgspec.json.encode(self._prepared.asked), mode=0o600)
        self._processes.wait()
        try:
            return self._train(resumed, interrupted)
        except StorytellerError as error:
            self.tell(Failed(message=error.message))
            raise
        except OSError as error:
            message = f"the disk: {error.strerror or error}. Make room, then: {self._how_to_go_on}"
            self.tell(Failed(message=message))
            raise TrainingError(message) from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                self.tell(Failed(message=f"{type(error).__name__}: {str(error)[:300]}"))
                raise
            message = "There is not enough memory for one sequence at once. Use --recompute, a shorter --seq or a smaller --base."
            self.tell(Failed(message=message))
            raise TrainingError(message) from error

    def tell(self, event: AnyEvent) -> None:
        """To whoever started the run, and to its file, unless the disk has no room for it."""
        if not self._processes.leads:
            return
        with contextlib.suppress(OSError), self._folder.events.open("ab") as stream:
            stream.write(to_line(event))
        self._listener(event)

    @property
    def _how_to_go_on(self) -> str:
        resume = " --resume" if checkpoints.any_in(self._folder.path) else ""
        return f"storyteller train --genre {self._prepared.request.genre.name}{resume}"

    def _checkpoint(self, *, resume: bool, restart: bool) -> Checkpoint | None:
        folder = self._folder.path
        if not resume:
            if checkpoints.any_in(folder) and not restart and self._processes.leads:
                raise TrainingError(
                    f"An unfinished run of {self._folder.genre} is here. Go on with --resume, or begin anew with "
                    "--restart."
                )
            if self._processes.leads:
                checkpoints.remove_all(folder)
            return None
        try:
            before = msgspec.json.decode(self._folder.settings.read_bytes(), type=Asked)
        except (OSError, ValueError):  # msgspec's errors, and bytes that are no UTF-8
            before = None
        found, damaged = checkpoints.load_newest(folder)
        if before is None or found is None:
            if not checkpoints.any_in(folder):
                raise TrainingError(
                    f"There is no run of {self._folder.genre} to go on with. Begin one without --resume."
                )
            broken = ", ".join(damaged) if found is None else self._folder.settings.name
            raise TrainingError(
                f"The run of {self._folder.genre} cannot go on: {broken} in {folder} is damaged. Begin anew with --restart."
            )
        changed = _changes(before, self._prepared.asked)
        if changed:
            raise TrainingError(
                f"The run was begun with {changed}. Go on with what it was begun with, or begin anew with --restart."
            )
        if damaged:
            self.tell(
                Said(message=f"{', '.join(damaged)} is damaged, so the run goes on from an earlier one.")
            )
        self.tell(Resumed(step=found.progress.step))
        return found

    def _train(self, resumed: Checkpoint | None, interrupted: Callable[[], bool]) -> Finished | Stopped:
        prepared, settings = self._prepared, self._prepared.settings
        self.tell(prepared.plan())
        advice = launched.how_to_use_all(prepared.device)
        if advice:
            self.tell(Said(message=advice))
        learner = open_learner(
            prepared.request.found.path,
            settings,
            prepared.device,
            recompute=prepared.request.wanted.recompute,
        )
        if self._processes.rank:
            torch.manual_seed(settings.seed + self._processes.rank)  # other numbers are dropped there
        windows = measured_windows(prepared.pieces.held_out, settings.seq, prepared.tokens.eos)
        progress = resumed.progress if resumed is not None else Progress(micro_batch=prepared.micro_batch)
        if (
            prepared.request.wanted.micro_batch is not None
        ):  # fewer may be asked for later, never more than fit
            progress.micro_batch = min(progress.micro_batch, prepared.micro_batch)
        run = Run(
            learner=learner,
            settings=settings,
            windows=prepared.windows,
            measured=[window for window, _ in windows],
            folder=self._folder.path,
            tell=self.tell,
            progress=progress,
            sample=sampler(learner, prepared.tokens, prepared.pieces, prepared.device),
            wished=lambda: self._folder.wished,
            interrupted=interrupted,
            processes=self._processes,
            save_every=prepared.request.save_every,
        )
        try:
            reason = train(run, resumed)
        except Interrupted:
            self.tell(Stopped(step=progress.step))
            return Stopped(step=progress.step)
        except Diverged as error:
            reason = "the loss was no number any more"
            if progress.base_loss is None:
                raise TrainingError(
                    f"The loss of the base itself is not a number in {settings.dtype}: it is damaged, or needs --dtype float32."
                ) from error
            if not _is_better(progress):
                checkpoints.remove_all(self._folder.path)
                raise TrainingError(
                    f"The loss is not a number any more after step {progress.step}. Begin anew with a lower rate: "
                    f"--rate {settings.rate / 4:.1g}."
                ) from error
            self.tell(
                Said(
                    message=f"The loss was no number any more after step {progress.step}; the best before is kept."
                )
            )
        return self._finish(run, reason)

    def _finish(self, run: Run, reason: str) -> Finished:
        """Write the adapter, load it again, compare, and only then call it done."""
        prepared, settings, progress = self._prepared, self._prepared.settings, run.progress
        assert progress.base_loss is not None and progress.best_loss is not None  # noqa: S101, PT018 - measured by then
        event = Finished(
            adapter=prepared.request.name,
            version="",
            path="",
            step=progress.best_step,
            base_perplexity=math.exp(progress.base_loss),
            perplexity=math.exp(progress.best_loss),
            seconds=progress.seconds,
            reason=reason,
        )
        if not self._processes.leads:
            return event
        if not _is_better(progress):
            checkpoints.remove_all(self._folder.path)
            raise TrainingError(
                f"After {progress.step} steps the adapter is no better than the base on the texts held out (perplexity "
                f"{event.perplexity:.2f}, the base {event.base_perplexity:.2f}), so it was not put to use. More texts help "
                f"most; else try another --rate than {settings.rate:g}."
            )
        result = self._folder.path / "result"
        write_result(result, run, prepared.request.found.path, prepared.config)
        release_memory(prepared.device)
        path = publish(prepared.request.name, result, self._card(run, settings, progress))
        event = msgspec.structs.replace(event, version=path.name, path=str(path))
        self.tell(event)
        checkpoints.remove_all(self._folder.path)
        return event

    def _card(self, run: Run, settings: Settings, progress: Progress) -> Card:
        prepared, pieces = self._prepared, self._prepared.pieces
        assert progress.base_loss is not None and progress.best_loss is not None  # noqa: S101, PT018 - as above
        return Card(
            name=prepared.request.name,
            genre=prepared.request.genre.name,
            base=prepared.request.found.name,
            base_hash=prepared.asked.base_hash,
            data_hash=prepared.data_hash,
            datasets=prepared.request.datasets,
            documents=pieces.documents,
            tokens=pieces.tokens,
            rank=settings.rank,
            alpha=settings.alpha,
            dropout=settings.dropout,
            rate=settings.rate,
            epochs=round(progress.best_step * settings.batch / run.windows.per_epoch, 2),
            steps=progress.best_step,
            batch=settings.batch,
            seq=settings.seq,
            dtype=settings.quantise or settings.dtype,
            seed=settings.seed,
            perplexity_base=math.exp(progress.base_loss),
            perplexity_adapter=math.exp(progress.best_loss),
            held_out_documents=pieces.held_out_documents,
            train_loss=progress.last_loss,
            seconds=round(progress.seconds, 1),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
            notes=prepared.request.warnings,
        )


def _is_better(progress: Progress) -> bool:
    return (
        progress.best_loss is not None
        and progress.base_loss is not None
        and progress.best_loss < progress.base_loss
    )


def _changes(before: Asked, now: Asked) -> str:
    """What differs, in words; empty where nothing does."""
    changed = [
        f"{name} {getattr(before.settings, name)} (now {getattr(now.settings, name)})"
        for name in Settings.__struct_fields__
        if getattr(before.settings, name) != getattr(now.settings, name)
    ]
    if before.base_hash != now.base_hash:
        changed.append("another base")
    if before.data_hash != now.data_hash:
        changed.append("other texts")
    return ", ".join(changed)


def _whole(document: Document) -> Document:
    """A piece as it stands on a page: its title above it, where it has one."""
    if not document.title or document.text.startswith(document.title):
        return document
    return msgspec.structs.replace(document, text=f"{document.title}\n\n{document.text}")


def _widths(config: ModelConfig) -> int:
    """Inputs and outputs of a block's four products: what a rank costs."""
    from storyteller.engine.network.model_config import product_shapes

    return sum(inputs + outputs for inputs, outputs in product_shapes(config).values())
