"""What the writer meant by what they did: the events of a take, folded in the order they were committed.

The last word counts: a take refused and accepted later was accepted. Wall clocks are not consulted, so a clock
that jumps changes no label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.feedback.history import TakeHistory
    from storyteller.feedback.records import FeedbackEvent

RUSHED_MS: Final = 300.0  # accepted sooner after it was shown than anyone can read
REGRETTED_S: Final = 10.0  # an acceptance undone within so many seconds was a slip

Span = tuple[int, int]
Refusal = Literal["rejected", "retried", "undone"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the writer's acts say about a take.

    Attributes:
        accepted: the span of its text that was taken and not given back, from its first character on; None: nothing.
        refused: how it was turned down, where nothing of it was accepted; None: silence, which is no label.
        rating: the last rating given.
        replacement: what the writer wrote in its place, where the log was told.
        grounds: the ids of the events that say so, in order.
        noise: acceptances that were rushed or regretted at once, and so do not count.
    """

    accepted: Span | None = None
    refused: Refusal | None = None
    rating: Literal["up", "down"] | None = None
    replacement: str | None = None
    grounds: tuple[str, ...] = ()
    noise: int = 0

    @property
    def contradictory(self) -> bool:
        """Whether the rating says one thing and the act another: such a take teaches nothing."""
        if self.accepted:
            return self.rating == "down"
        return self.refused is not None and self.rating == "up"


class _Fold:
    """The state the events of one take lead to."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._spans: list[Span] = []
        self._accepts: list[FeedbackEvent] = []  # those behind the spans that stand
        self._refusal: tuple[Refusal, FeedbackEvent] | None = None
        self._rating: tuple[Literal["up", "down"], FeedbackEvent] | None = None
        self._replacement: tuple[str, FeedbackEvent] | None = None
        self._noise = 0

    def step(self, event: FeedbackEvent) -> None:
        """Take in the next event."""
        match event.kind:
            case "accept" | "accept_partial":
                self._accept(event)
            case "unaccept":
                self._remove((event.start, event.end))
            case "undo_accept":
                self._undo(event)
            case "reject":
                self._refusal = "rejected", event
            case "retry":
                self._refusal = "retried", event
            case "rate_up":
                self._rating = "up", event
            case "rate_down":
                self._rating = "down", event
            case "edit_after":
                text = event.payload.get("text")
                if isinstance(text, str) and text:
                    self._replacement = text, event
            case "view" | "dismiss" | "cycle":
                pass

    def verdict(self) -> Verdict:
        """What all of it comes to."""
        accepted = self._accepted()
        noise = self._noise
        if accepted is not None and all(_rushed(event) for event in self._accepts):
            accepted = None
            noise += len(self._accepts)
        grounds: list[FeedbackEvent] = []
        if accepted is not None:
            grounds += self._accepts
        elif self._refusal is not None:
            grounds.append(self._refusal[1])
        grounds += [found[1] for found in (self._rating, self._replacement) if found is not None]
        return Verdict(
            accepted=accepted,
            refused=self._refusal[0] if accepted is None and self._refusal is not None else None,
            rating=None if self._rating is None else self._rating[0],
            replacement=None if self._replacement is None else self._replacement[0],
            grounds=tuple(event.id for event in grounds),
            noise=noise,
        )

    def _accept(self, event: FeedbackEvent) -> None:
        span = self._within(event)
        if span[0] < span[1]:
            self._spans = _joined([*self._spans, span])
            self._accepts.append(event)

    def _undo(self, event: FeedbackEvent) -> None:
        if not self._accepts:
            return
        if 0 <= event.monotonic - self._accepts[-1].monotonic < REGRETTED_S:
            self._noise += 1
        elif not all(_rushed(accept) for accept in self._accepts):
            self._refusal = "undone", event
        self._remove((event.start, event.end) if event.start < event.end else (0, self._length))

    def _remove(self, span: Span) -> None:
        self._spans = [
            part
            for start, end in self._spans
            for part in ((start, min(end, span[0])), (max(start, span[1]), end))
            if part[0] < part[1]
        ]
        self._accepts = [event for event in self._accepts if self._still(event)]

    def _still(self, event: FeedbackEvent) -> bool:
        """Whether anything that this acceptance took is still taken."""
        start, end = self._within(event)
        return any(start < standing[1] and standing[0] < end for standing in self._spans)

    def _within(self, event: FeedbackEvent) -> Span:
        if event.kind == "accept" and event.start == event.end == 0:
            return 0, self._length
        return max(0, event.start), min(event.end, self._length)

    def _accepted(self) -> Span | None:
        """What was taken from the beginning on: a prompt goes before a beginning only."""
        return self._spans[0] if self._spans and self._spans[0][0] == 0 else None


def judge(take: TakeHistory) -> Verdict:
    """Fold the events of a take."""
    fold = _Fold(len(take.record.text))
    for event in take.events:
        fold.step(event)
    return fold.verdict()


def _rushed(event: FeedbackEvent) -> bool:
    return event.elapsed_ms is not None and event.elapsed_ms < RUSHED_MS


def _joined(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
