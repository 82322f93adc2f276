"""One run from beginning to end: texts to tokens, the base opened, the loop, the adapter checked and put on the shelf."""

from __future__ import annotations

import contextlib
import math
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller import __version__
from storyteller.atomic import write_atomic
from storyteller.engine.network.device import release_memory
from storyteller.errors import TrainingError
from storyteller.training import checkpoint as checkpoints
from storyteller.training import processes as launched
from storyteller.training.adapters.card import Card
from storyteller.training.adapters.publish import publish
from storyteller.training.base import open_learner
from storyteller.training.checkpoint import Checkpoint, Progress
from storyteller.training.data import measured_windows
from storyteller.training.events import Finished, Said, Stopped
from storyteller.training.loop import Diverged, Interrupted, Run, train
from storyteller.training.preparation import Asked, Preparation
from storyteller.training.result import write_result
from storyteller.training.sample import sampler
from storyteller.training.settings import Settings
from storyteller.training.telling import Teller

if TYPE_CHECKING:
    from collections.abc import Callable

    from storyteller.training.events import AnyEvent
    from storyteller.training.preparation import Request
    from storyteller.training.processes import Processes
    from storyteller.training.run_folder import RunFolder

_NO_MEMORY: Final = "There is not enough memory for one sequence at once. Use --recompute, a shorter --seq or a smaller --base."


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
        self._processes = processes
        self.tell = Teller(folder, tell, processes)

    def run(self, interrupted: Callable[[], bool], *, resume: bool, restart: bool) -> Finished | Stopped:
        resumed = self._checkpoint(resume=resume, restart=restart)
        if self._processes.leads:
            self._folder.wish("go")
            if resumed is None:
                # Another file, never the old one's number again: who follows the run knows by it that this one is new.
                write_atomic(self._folder.events, b"", mode=0o600)
                write_atomic(self._folder.settings, msgspec.json.encode(self._prepared.asked), mode=0o600)
        self._processes.wait()
        with self.tell.failures(lambda: self._how_to_go_on, _NO_MEMORY):
            return self._train(resumed, interrupted)

    @property
    def _how_to_go_on(self) -> str:
        resume = " with --resume" if self._folder.unfinished else ""
        return f"then give the same command{resume}."

    def _checkpoint(self, *, resume: bool, restart: bool) -> Checkpoint | None:
        folder = self._folder.path
        if not resume:
            if self._folder.unfinished and not restart and self._processes.leads:
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
            if not self._folder.unfinished:
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
        self.tell.resumed(found.progress.step, damaged)
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
        windows = measured_windows(prepared.pieces.held_out, settings.seq, prepared.tokens.eos)
        progress = resumed.progress if resumed is not None else Progress(micro_batch=prepared.micro_batch)
        # Fewer may be asked for when it goes on, never more than fit.
        if prepared.request.wanted.micro_batch is not None:
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
        if prepared.request.withdrawn():
            checkpoints.remove_all(self._folder.path)
            shutil.rmtree(result, ignore_errors=True)
            raise TrainingError(
                "Feedback that it learned from was purged meanwhile, so the adapter was not put to use. Train it again."
            )
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
            base_hash=prepared.base_hash,
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
    if before.name and before.name != now.name:
        changed.append(f"--name {before.name}")
    return ", ".join(changed)
