"""What the room knows of the model: opening, open, or gone. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storyteller.engine.protocol import Failed, Loading, Notice, Ready

if TYPE_CHECKING:
    from storyteller.engine.protocol import StatusEvent


@dataclass(frozen=True)
class ModelState:
    """The model as the status line shows it; `failed` is the sentence that says why there is none."""

    ready: Ready | None = None
    stage: str = "opening the model"
    fraction: float = 0.0
    failed: str | None = None

    @property
    def shown(self) -> str:
        """A few words: what is open, how far the opening is, or that there is none."""
        if self.failed is not None:
            return "no model"
        if self.ready is None:
            return f"{self.stage} {self.fraction:.0%}"
        return f"{self.ready.model} · {self.ready.device}"


def after(state: ModelState, event: StatusEvent) -> tuple[ModelState, str | None]:
    """The state after `event`, and the one sentence the writer should see, if any."""
    match event:
        case Loading():
            return replace(state, ready=None, stage=event.stage, fraction=event.fraction, failed=None), None
        case Ready():
            return ModelState(ready=event), None
        case Failed():
            sentence = f"{event.title}: {event.message}"
            return replace(state, ready=None, failed=sentence), sentence
        case Notice():
            return state, event.message
