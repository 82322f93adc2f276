"""One model, one request at a time: the queue before it, cancelling, and errors turned into events.

The engine's process and the in-process engine both run this; it knows neither pipes nor asyncio, and
imports no torch: the core comes from a factory, in the thread that will use it.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.process.failures import failed
from storyteller.engine.protocol import (
    Cancel,
    Done,
    Event,
    Failed,
    Generate,
    GenerateEvent,
    Load,
    Loading,
    Notice,
    Prepare,
    Probe,
    Probed,
    Ready,
    Request,
    Score,
    Scored,
    Shutdown,
)
from storyteller.errors import StorytellerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Work: TypeAlias = Load | Generate | Score | Probe | Prepare

STILL_LOADING = "The model is still being opened; this begins as soon as it is ready."


class CoreLike(Protocol):
    """What is asked of a core: `storyteller.engine.core.Core`, or a scripted one."""

    def load(self, request: Load) -> Iterator[Loading | Ready | Notice]:
        """Open a model; `Ready` comes last."""
        ...

    def generate(self, request: Generate, cancel: CancelSignal) -> Iterator[GenerateEvent]:
        """The events of one request; `Done` comes last."""
        ...

    def score(self, request: Score, cancel: CancelSignal | None = None) -> Scored:
        """Log-probabilities of a text."""
        ...

    def probe(self, request: Probe) -> Probed:
        """The most likely next tokens."""
        ...

    def prepare(self, request: Prepare, cancel: CancelSignal) -> None:
        """Prefill ahead of time."""
        ...


@dataclass(frozen=True, eq=False)
class Job:
    """A request and the way to end it, whether it waits or runs."""

    request: Work
    cancel: CancelSignal = field(default_factory=CancelSignal)


class Service:
    """Requests from any thread, served in order by the one that calls `run`; every one ends in exactly one last event.

    Last events are `Done`, `Scored`, `Probed`, `Failed` and, for a load, `Ready`. A prepare gives way to
    anything that comes after it. A load waits for the request that runs, and what comes after waits for it,
    so a model or an adapter never changes under a stream.

    Args:
        make_core: called once, in the thread of `run`.
        emit: called with each event, from the thread of `run` or of `submit`; may block.
        report: told of exceptions that are nobody's plan, with the request they broke.
    """

    def __init__(
        self,
        make_core: Callable[[], CoreLike],
        emit: Callable[[Event], None],
        report: Callable[[BaseException, Work | None], str],
    ) -> None:
        self._make_core = make_core
        self._emit = emit
        self._report = report
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._stopping = False

    def submit(self, request: Request) -> None:
        """Take a request in and return; only `emit` may hold this up."""
        match request:
            case Cancel():
                self._cancel(request)
            case Shutdown():
                self.stop()
            case _:
                if isinstance(request, Load):
                    self._emit(Loading(id=request.id, stage="starting", fraction=0.0))
                elif not isinstance(request, Prepare) and self._loading():
                    self._emit(Notice(id=request.id, message=STILL_LOADING))
                self._admit(Job(request))

    def stop(self) -> None:
        """End `run` after the current token; nothing more is served."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            if self._running is not None:
                self._running.cancel.cancel()
            self._changed.notify()

    def run(self) -> None:
        """Make the core and serve until `stop`."""
        core = self._start()
        while (job := self._next()) is not None:
            try:
                if core is None:
                    core = self._make_core()
                self._serve(core, job)
            except StorytellerError as error:
                self._emit(failed(error, job.request.id))
            except Exception as error:  # noqa: BLE001 - whatever it is, the engine goes on and the report has it
                self._emit(self._stumbled(error, job.request))
            finally:
                self._idle()

    def _start(self) -> CoreLike | None:
        """The core, made before the first request asks for it; a failure is told to the request, once there is one."""
        try:
            return self._make_core()
        except Exception as error:  # noqa: BLE001 - tried again, and told, when a request needs it
            self._report(error, None)
            return None

    # The queue

    def _loading(self) -> bool:
        with self._changed:
            jobs = [*self._waiting] if self._running is None else [self._running, *self._waiting]
        return any(isinstance(job.request, Load) for job in jobs)

    def _admit(self, job: Job) -> None:
        with self._changed:
            dropped = [waiting for waiting in self._waiting if isinstance(waiting.request, Prepare)]
            for prepare in dropped:
                self._waiting.remove(prepare)
            if self._running is not None and isinstance(self._running.request, Prepare):
                self._running.cancel.cancel()
            if not self._stopping:
                self._waiting.append(job)
            self._changed.notify()
        for prepare in dropped:
            self._emit(Done(id=prepare.request.id, reason="cancelled"))

    def _cancel(self, request: Cancel) -> None:
        with self._changed:
            jobs = [*self._waiting] if self._running is None else [self._running, *self._waiting]
            named = [
                job for job in jobs if job.request.id == request.id and not isinstance(job.request, Load)
            ]
            for job in named:
                job.cancel.cancel(request.take)
            dropped = [job for job in named if job is not self._running and job.cancel.all_cancelled]
            for job in dropped:
                self._waiting.remove(job)
        for job in dropped:
            self._emit(Done(id=job.request.id, reason="cancelled"))

    def _next(self) -> Job | None:
        with self._changed:
            while not self._waiting and not self._stopping:
                self._changed.wait()
            if self._stopping:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _idle(self) -> None:
        """Nothing runs any more; whoever looks at what runs holds the lock meanwhile."""
        with self._changed:
            self._running = None

    # The work

    def _serve(self, core: CoreLike, job: Job) -> None:
        match job.request:
            case Load() as request:
                for status in core.load(request):
                    if isinstance(status, Ready):
                        self._idle()  # before the app hears of it: what it asks next need not wait
                    self._emit(status)
            case Generate() as request:
                event: GenerateEvent | None = None
                for event in core.generate(request, job.cancel):
                    self._emit(event)
                if not isinstance(event, Done):
                    raise RuntimeError("generate ended without Done")
            case Score() as request:
                self._emit(core.score(request, job.cancel))
            case Probe() as request:
                self._emit(core.probe(request))
            case Prepare() as request:
                core.prepare(request, job.cancel)
                self._emit(
                    Done(id=request.id, reason="cancelled" if job.cancel.all_cancelled else "finished")
                )

    def _stumbled(self, error: BaseException, work: Work) -> Failed:
        where = self._report(error, work)
        return Failed(
            id=work.id,
            title="The engine stumbled",
            message=f"{_kind(error)} Your text is untouched: ask again; {where} has the particulars.",
        )


def private_texts(work: Work | None) -> tuple[str, ...]:
    """Every text of a request that is the writer's and must not reach a log."""
    match work:
        case Generate(context=context, settings=settings, stop=stop):
            own = (*settings.banned_phrases, settings.negative_prompt, *stop.stop)
        case Probe(context=context) | Prepare(context=context):
            own = ()
        case Score(text=text):
            return (text,)
        case _:
            return ()
    parts = (context.text, context.header, context.memory, context.lore, context.premise, context.note)
    return (*parts, *own)


def _kind(error: BaseException) -> str:
    match error:
        case MemoryError():
            return "It ran out of memory."
        case ImportError():
            return "One of its libraries cannot be imported."
        case _:
            return f"It met an error nobody planned for ({type(error).__name__})."
