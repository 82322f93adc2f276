"""The engine as the rest of the program sees it: a child process, an in-process engine and the tests' fake all fit it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from storyteller.engine.protocol import (
        Generate,
        GenerateEvent,
        Load,
        Prepare,
        Probe,
        Probed,
        Ready,
        Score,
        Scored,
        StatusEvent,
    )


class Engine(Protocol):
    """Continues text. All methods are called from one event loop."""

    def listen(self, listener: Callable[[StatusEvent], None]) -> None:
        """Call `listener` in the event loop for every `Loading`, `Ready`, `Notice` and `Failed` without a request."""
        ...

    @property
    def ready(self) -> Ready | None:
        """The open model; None while there is none to answer."""
        ...

    async def start(self, load: Load) -> None:
        """Begin to open a model and return at once; `listen` tells the rest. Called again, it opens another."""
        ...

    def generate(self, request: Generate) -> AsyncGenerator[GenerateEvent, None]:
        """The events of one request, ending with `Done`. A request made while the model loads waits, after a `Notice`.

        Closing the iterator early cancels the request.

        Raises:
            EngineError: the engine failed or died; the next request works again.
            UserError: the request cannot be served as it is.
        """
        ...

    async def cancel(self, request_id: str, take: int | None = None) -> None:
        """End a request, or one take of it, within one token. Unknown ids are ignored."""
        ...

    async def score(self, request: Score) -> Scored:
        """Log-probabilities of a text. Raises as `generate`."""
        ...

    async def probe(self, request: Probe) -> Probed:
        """The most likely next tokens. Raises as `generate`."""
        ...

    async def prepare(self, request: Prepare) -> None:
        """Prefill ahead of time; returns at once, never raises for the engine's sake."""
        ...

    async def close(self) -> None:
        """Stop everything and release the model; waits at most 2 seconds."""
        ...
