"""A run of training as it stands: what its events add up to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from storyteller.training.events import (
    Checkpointed,
    Evaluated,
    Failed,
    Finished,
    Paused,
    Planned,
    Resumed,
    Said,
    Sampled,
    Stepped,
    Stopped,
)

if TYPE_CHECKING:
    from storyteller.training.events import AnyEvent

Point: TypeAlias = tuple[int, float]  # a step, and what was measured there

_SAMPLES: Final = 200  # the latest ones are kept
_SAID: Final = 100


@dataclass
class Progress:
    """What a run said, added up.

    Attributes:
        losses: nats a token, of every step.
        held_out: perplexities of the texts held out; at step 0 it is the base's.
        best: the measurement of the held-out texts whose weights are kept.
        checkpoint: the step from which it can be resumed.
        said: sentences for the writer, the latest last.
    """

    planned: Planned | None = None
    losses: list[Point] = field(default_factory=list)
    held_out: list[Point] = field(default_factory=list)
    samples: list[Sampled] = field(default_factory=list)
    latest: Stepped | None = None
    best: Evaluated | None = None
    checkpoint: int | None = None
    paused: bool = False
    said: list[str] = field(default_factory=list)
    finished: Finished | None = None
    stopped: Stopped | None = None
    failed: Failed | None = None
    _before: Progress | None = None  # the run that was here before this plan: a resumed one goes on with it

    @property
    def step(self) -> int:
        """Steps done."""
        return self.latest.step if self.latest is not None else 0

    @property
    def steps(self) -> int:
        """Steps there will be, if nothing ends it before; 0 where nobody knows yet."""
        if self.latest is not None:
            return self.latest.steps
        return self.planned.steps if self.planned is not None else 0

    @property
    def fraction(self) -> float:
        """How much of it is done, 0 to 1."""
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def base(self) -> float | None:
        """Perplexity of the held-out texts without the adapter."""
        if self.finished is not None:
            return self.finished.base_perplexity
        return self.held_out[0][1] if self.held_out and self.held_out[0][0] == 0 else None

    @property
    def perplexity(self) -> float | None:
        """The best so far with the adapter."""
        if self.finished is not None:
            return self.finished.perplexity
        return self.best.perplexity if self.best is not None and self.best.step else None

    @property
    def begun(self) -> bool:
        """Whether there is anything to show."""
        return self.planned is not None or self.failed is not None

    @property
    def ended(self) -> bool:
        """Whether it said that it ended."""
        return not (self.finished is None and self.stopped is None and self.failed is None)

    def after(self, event: AnyEvent) -> Progress:
        """How it stands after `event`: another run after a plan, else this one, changed."""
        if isinstance(event, Planned):
            self._before = None
            return Progress(planned=event, _before=self)
        self._hear(event)
        return self

    def reopen(self) -> None:
        """It is to go on: that it ended before says nothing any more."""
        self.finished = self.stopped = self.failed = None
        self.paused = False

    def _hear(self, event: AnyEvent) -> None:
        match event:
            case Resumed():
                self._go_on_from(event.step)
            case Stepped():
                self._drop_after(event.step - 1)
                self.losses.append((event.step, event.loss))
                self.latest = event
            case Evaluated():
                self.held_out = [point for point in self.held_out if point[0] < event.step]
                self.held_out.append((event.step, event.perplexity))
                if event.best or self.best is None:
                    self.best = event
            case Sampled():
                self.samples = [*self.samples[-_SAMPLES:], event]
            case Checkpointed():
                self.checkpoint = event.step
            case Said():
                self.said = [*self.said[-_SAID:], event.message]
            case Paused():
                self.paused = event.paused
            case Finished():
                self.finished = event
            case Stopped():
                self.stopped, self.checkpoint = event, event.step
            case Failed():
                self.failed = event

    def _go_on_from(self, step: int) -> None:
        """The same run again from `step` on: what was measured up to there still holds."""
        before = self if self.losses or self.held_out else self._before
        self._before = None
        self.reopen()
        self.checkpoint = step
        if before is not None and before is not self:
            self.losses, self.held_out, self.samples = before.losses, before.held_out, before.samples
            self.latest, self.best = before.latest, before.best
        self._drop_after(step)
        if self.latest is not None and self.latest.step > step:
            self.latest = None

    def _drop_after(self, step: int) -> None:
        """Forget what was measured after `step`: it is done again."""
        while self.losses and self.losses[-1][0] > step:
            self.losses.pop()
        while self.held_out and self.held_out[-1][0] > step:
            self.held_out.pop()
        while self.samples and self.samples[-1].step > step:
            self.samples.pop()
