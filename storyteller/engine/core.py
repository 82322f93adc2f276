"""The engine itself, synchronous: one model, one cache, one thread that calls it.

The server and the in-process engine put their own concurrency round it; nothing here knows of processes or asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storyteller.engine.cancel import CancelSignal
    from storyteller.engine.protocol import (
        Generate,
        GenerateEvent,
        Load,
        Loading,
        Notice,
        Prepare,
        Probe,
        Probed,
        Ready,
        Score,
        Scored,
    )


class Core:
    """Opens a model and serves requests one at a time. Every method is called from the same thread.

    Only a `CancelSignal` may be touched from elsewhere.
    """

    def load(self, request: Load) -> Iterator[Loading | Ready | Notice]:
        """Open a model; the last event is `Ready`.

        Raises:
            ModelError: the model is missing, damaged or not one we can run.
            AdapterError: an adapter of `request.adapters` cannot be used.
        """
        raise EngineError("No model can be opened yet.")

    def generate(self, request: Generate, cancel: CancelSignal) -> Iterator[GenerateEvent]:
        """The events of one request: `Began`, then tokens, one `TakeDone` a take, and `Done` last, cancelled or not.

        Raises:
            UserError: the request cannot be served as it is.
            AdapterError: an adapter it names is missing or does not fit.
            EngineError: no model is open, or the machine ran out of memory for good.
        """
        raise EngineError("No model is open.")

    def score(self, request: Score, cancel: CancelSignal | None = None) -> Scored:
        """Log-probabilities of a text of any length. Raises as `generate`."""
        raise EngineError("No model is open.")

    def probe(self, request: Probe) -> Probed:
        """The most likely next tokens after a context. Raises as `generate`."""
        raise EngineError("No model is open.")

    def prepare(self, request: Prepare, cancel: CancelSignal) -> None:
        """Prefill ahead of a likely request; gives up between chunks once cancelled. Raises as `generate`."""
        raise EngineError("No model is open.")
