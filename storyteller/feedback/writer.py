"""The feedback log for the app: every call is put down in order by one thread, and its future is done after the commit.

The log never stands in the writer's way: the first failure is told once, after it every call does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from storyteller.errors import LibraryError
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.survival import measure
from storyteller.library import LibrarySetAside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storyteller.feedback.consent import Scope
    from storyteller.feedback.log import FeedbackLog
    from storyteller.feedback.records import FeedbackEvent, GenerationRecord, TakeRecord
    from storyteller.feedback.survival import Sighting

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class _Job(Generic[_T]):
    """One call on its way through the thread, and the future of the event loop that waits for it."""

    def __init__(self, act: Callable[[FeedbackLog], _T], otherwise: _T) -> None:
        self._act = act
        self._result = otherwise
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[_T] = self._loop.create_future()

    def run(self, log: FeedbackLog) -> None:
        """Act, keeping what came of it; raises what the act raises."""
        self._result = self._act(log)

    def finish(self) -> None:
        """Let the future have the result, from whichever thread, if anyone still listens."""
        _in_loop(self._loop, self._resolve)

    def _resolve(self) -> None:
        if not self.future.done():
            self.future.set_result(self._result)


class FeedbackWriter:
    """Hands records to a `FeedbackLog` that its own thread opens and uses.

    Calls come from a running event loop and take effect in the order they were made, awaited or not.
    Cancelling a future does not take the record back.

    Args:
        log: not used by any other thread before or after.
        warn: called in the event loop with a sentence to show: that the library was set aside, or, once,
            that logging is off until the program starts again.
    """

    def __init__(self, log: FeedbackLog, *, warn: Callable[[str], None]) -> None:
        self._log = log
        self._warn = warn
        self._jobs: queue.SimpleQueue[_Job[object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed = False
        self._closed = False

    @property
    def working(self) -> bool:
        """Whether records can still be put down: no failure, not closed. Consent is another question."""
        return not (self._failed or self._closed)

    @property
    def refusals(self) -> tuple[str, ...]:
        """What the settings are to remember; see `FeedbackLog.refusals`."""
        return self._log.refusals

    def generation(self, record: GenerationRecord) -> asyncio.Future[bool]:
        """Put down a request; done once committed. False: no consent, or the log is off."""
        return self.call(lambda log: log.generation(record), otherwise=False)

    def take(self, record: TakeRecord) -> asyncio.Future[bool]:
        """Put down a take; done once committed."""
        return self.call(lambda log: log.take(record), otherwise=False)

    def event(self, record: FeedbackEvent) -> asyncio.Future[bool]:
        """Put down what the writer did; done once committed: await it before the screen says so."""
        return self.call(lambda log: log.event(record), otherwise=False)

    def sightings(self, sightings: Sequence[Sighting]) -> asyncio.Future[int]:
        """Measure accepted texts and put down what still stands of them; done once committed, with how many were."""
        return self.call(lambda log: log.survival(*map(measure, sightings)), otherwise=0)

    def consent(self, scope: Scope = EVERYTHING) -> asyncio.Future[bool | None]:
        """The answer given for this scope; None: not asked yet. While the log is off it is no: do not ask."""
        return self.call(lambda log: log.consent(scope), otherwise=False)

    def set_consent(self, scope: Scope, *, on: bool) -> asyncio.Future[bool]:
        """Put down the writer's answer; False if it could not be. Then store `refusals` in the settings."""

        def put_down(log: FeedbackLog) -> bool:
            log.set_consent(scope, on=on)
            return True

        return self.call(put_down, otherwise=False)

    def renamed(self, before: str, now: str) -> asyncio.Future[bool]:
        """A document has another name from now on; True where a no came along. Then store `refusals` in the settings."""
        return self.call(lambda log: log.renamed(before, now), otherwise=False)

    def call(self, act: Callable[[FeedbackLog], _T], *, otherwise: _T) -> asyncio.Future[_T]:
        """Run `act` in the log's thread after everything asked before; `otherwise` is the answer where it cannot."""
        job = _Job(act, otherwise)
        if not self.working:
            job.finish()
            return job.future
        self._loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="feedback", daemon=True)
            self._thread.start()
        self._jobs.put(job)  # type: ignore[arg-type]  # a job of any result; the queue never looks at it
        return job.future

    async def close(self, timeout_s: float = 2.0) -> bool:
        """Write what is still queued, waiting at most `timeout_s`; whether all of it was written."""
        return await asyncio.to_thread(self.close_now, timeout_s)

    def close_now(self, timeout_s: float = 2.0) -> bool:
        """As `close`, without an event loop: for signal handlers and the end of the process."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not self._failed:
                self._attempt(job)
            job.finish()
        self._log.close()

    def _attempt(self, job: _Job[object]) -> None:
        try:
            try:
                job.run(self._log)
            except LibrarySetAside as aside:
                self._tell(aside.message)
                job.run(self._log)  # what stood in its way is out of the way
        except LibraryError as error:
            self._give_up(error.message)
        except Exception:  # noqa: BLE001 - a fault of ours in the log must not cost the writer a word either
            _log.exception("The feedback log failed")
            self._give_up("An error in storyteller stopped it; the log file has the details.")

    def _give_up(self, why: str) -> None:
        self._failed = True
        self._tell(f"{why} Feedback is not kept until the program starts again.")

    def _tell(self, sentence: str) -> None:
        _log.warning("%s", sentence)
        if self._loop is not None:
            _in_loop(self._loop, partial(self._warn, sentence))


def _in_loop(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:
        _log.debug("The event loop had ended before the feedback log did")
