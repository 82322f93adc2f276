"""Tells the feedback log what was shown and what became of it. No widgets; whether anything is kept is the log's to know."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from storyteller.feedback.keeping import (
    forget_takes,
    keep_provenance,
    keep_takes,
    restore_provenance,
    restore_takes,
)
from storyteller.feedback.records import FeedbackEvent
from storyteller.feedback.survival import Place, SurvivalWatch
from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from storyteller.feedback.records import GenerationRecord, Kind
    from storyteller.feedback.writer import FeedbackWriter
    from storyteller.manuscript.offer import Piece
    from storyteller.manuscript.takes import ShownTake
    from storyteller.tui.live import LiveTake

_INSTEAD_S: Final = 60.0  # what was written later than this after a refusal is no answer to it


@dataclass
class _Instead:
    """A refused take and the place where the writer may be writing something else."""

    take: LiveTake
    place: Place
    since: float


@dataclass
class _Typed:
    """A run of letters that the writer typed as they were offered."""

    take: LiveTake
    start: int
    end: int


class Witness:
    """One document's reports to the log. `session` ties them together."""

    def __init__(self, writer: FeedbackWriter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.session = uuid7()
        self._writer = writer
        self._clock = clock
        self._watch = SurvivalWatch()
        self._instead: _Instead | None = None
        self._typed: _Typed | None = None

    def asked(self, record: GenerationRecord) -> None:
        """A request's prompt, or its times, became known."""
        self._writer.generation(record)

    def showed(self, take: LiveTake) -> None:
        """A take came on the page."""
        if take.appear():
            self._writer.take(take.for_log())
            self.did("view", take)

    def concealed(self, take: LiveTake) -> None:
        """A take left the page."""
        self._end_typing()
        take.vanish()
        self._writer.take(take.for_log())

    def ended(self, take: LiveTake) -> None:
        """A take is complete."""
        self._writer.take(take.for_log())

    def typed(self, take: LiveTake, piece: Piece, place: Place) -> None:
        """The writer typed what was offered, which stands at `place` now. A run of letters is put down as one piece, when it ends."""
        self._watch.accepted(take.id, place, piece.text, self._clock())
        if self._typed is not None and self._typed.take is take and self._typed.end == piece.start:
            self._typed.end = piece.end
        else:
            self._end_typing()
            self._typed = _Typed(take, piece.start, piece.end)

    def _end_typing(self) -> None:
        typed, self._typed = self._typed, None
        if typed is not None:
            self.did("accept_partial", typed.take, typed.start, typed.end, piece="typed")

    def did(
        self, kind: Kind, take: LiveTake, start: int = 0, end: int = 0, **payload: object
    ) -> asyncio.Future[bool]:
        """The writer did something about `take`; done once that is on disk."""
        self._end_typing()
        return self._writer.event(
            FeedbackEvent(
                generation=take.generation,
                take=take.id,
                kind=kind,
                start=start,
                end=end,
                elapsed_ms=take.elapsed_ms,
                monotonic=self._clock(),
                payload=payload,
            )
        )

    def took(self, take: LiveTake, piece: Piece, place: Place) -> asyncio.Future[bool]:
        """The writer kept `piece`, which stands at `place` now; done once that is on disk."""
        self._watch.accepted(take.id, place, piece.text, self._clock())
        kind: Kind = "accept" if piece.kind == "all" else "accept_partial"
        return self.did(kind, take, piece.start, piece.end, piece=piece.kind)

    def gave_back(self, take: LiveTake, piece: Piece) -> asyncio.Future[bool]:
        """The last piece became provisional again."""
        self._watch.given_back(take.id, piece.text)
        return self.did("unaccept", take, piece.start, piece.end)

    def undid(self, take: LiveTake, piece: Piece) -> asyncio.Future[bool]:
        """An undo took an accepted piece out of the text."""
        self._watch.given_back(take.id, piece.text)
        return self.did("undo_accept", take, piece.start, piece.end)

    def refused(self, kind: Kind, take: LiveTake, offset: int, text: str) -> asyncio.Future[bool]:
        """What was provisional of `take`, `text`, is gone; what is written at `offset` now is in its place.

        Call `conclude` before, for the refusal before this one.
        """
        self._instead = _Instead(take, Place(offset, offset), self._clock())
        start = len(take.offer.kept)
        return self.did(kind, take, start, start + len(text))

    def edited(self, start: int, removed: int, added: int, *, written: bool) -> None:
        """The settled text changed; `written`: by the writer's own hand."""
        self._watch.shifted(start, removed, added)
        if self._instead is None:
            return
        place = self._instead.place
        if written and start == place.end and removed == 0:
            place.end += added
        else:
            place.shift(start, removed, added)

    def conclude(self, text: str) -> None:
        """What was written instead of the last refused take is finished, as it stands in `text`."""
        instead, self._instead = self._instead, None
        if instead is None or self._clock() - instead.since > _INSTEAD_S:
            return
        written = instead.place.text_in(text)
        if written.strip():
            self.did("edit_after", instead.take, text=written)

    @property
    def next_look(self) -> float | None:
        """Seconds until an accepted text is to be looked at again."""
        due = self._watch.next_due()
        return None if due is None else max(0.0, due - self._clock())

    def look(self, text: str) -> None:
        """Measure what stands of accepted texts whose time has come."""
        if self._instead is not None and self._clock() - self._instead.since > _INSTEAD_S / 2:
            self.conclude(text)
        self._writer.sightings(self._watch.due(self._clock(), text))

    def saved(self, text: str) -> None:
        """The document was saved."""
        self.conclude(text)
        self._writer.sightings(self._watch.saved(self._clock(), text))

    def keep(
        self, document: str, genre: str, text: str, anchors: Sequence[tuple[str, int]], provenance: str
    ) -> None:
        """Keep where the takes stand in the saved `text`, and who wrote what of it, for the next opening."""
        self._writer.call(lambda log: keep_takes(log, document, text, anchors), otherwise=0)
        self._writer.call(
            lambda log: keep_provenance(log, document, genre, text, provenance), otherwise=False
        )

    def forgot(self, takes: Sequence[str]) -> None:
        """Takes are not to come back with their document."""
        self._writer.call(lambda log: forget_takes(log, takes), otherwise=None)

    async def restore(self, document: str, text: str) -> tuple[list[ShownTake], str | None]:
        """What `keep` kept, as it fits `text`; nothing without a library."""
        nothing: list[ShownTake] = []
        takes = self._writer.call(lambda log: restore_takes(log, document, text), otherwise=nothing)
        spans = self._writer.call(lambda log: restore_provenance(log, document, text), otherwise=None)
        return await takes, await spans

    def closed(self, text: str) -> None:
        """The document is being closed."""
        self.conclude(text)
        self._writer.sightings(self._watch.closed(self._clock(), text))
