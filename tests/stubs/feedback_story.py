"""Feedback logs for tests, told in a few words: what was offered, what the writer did, what stood later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import FeedbackEvent, GenerationRecord, Kind, TakeRecord
from storyteller.feedback.survival import Sighting, measure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from storyteller.feedback.records import Horizon


def numbered(what: str, number: int) -> str:
    """An id that sorts by its number and is the same in every run."""
    return f"{number:08x}-0000-7000-8000-{what.encode().hex():0>12}"


def agreed_log(path: Path | None = None) -> FeedbackLog:
    """A log whose writer agreed to everything. It does not wait for the disk, which no test of rules needs."""
    log = FeedbackLog(path)
    log.set_consent(EVERYTHING, on=True)
    with log.connected() as connection:
        assert connection is not None
        connection.execute("PRAGMA synchronous = OFF")
    return log


class Story:
    """Writes to a log with ids, times and clocks that are the same in every run.

    `clock` is added to every wall-clock time: a clock that runs wrong.
    """

    def __init__(self, log: FeedbackLog, *, clock: float = 0.0) -> None:
        self.log = log
        self._clock = clock
        self._seconds = 1000.0
        self._count = 0

    def offer(
        self,
        *texts: str,
        prompt: str = "Once upon a time",
        document: str = "/home/anna/novel.md",
        genre: str = "tales",
        shown_ms: float = 2000.0,
        number: int | None = None,
        **more: Any,
    ) -> list[TakeRecord]:
        """A generation whose takes were all shown."""
        number = self._next() if number is None else number
        generation = GenerationRecord(
            id=numbered("gen", number),
            session="s1",
            ts=self._clock + self._seconds,
            document=document,
            genre=genre,
            model="starter",
            model_hash="abc123",
            prompt=prompt,
            prompt_ids=tuple(map(ord, prompt)),
            seed=7,
            **more,
        )
        assert self.log.generation(generation)
        takes = [
            TakeRecord(
                id=numbered(f"t{index}", number),
                generation=generation.id,
                index=index,
                text=text,
                ids=tuple(ord(character) % 65536 for character in text),
                finish="length",
                seed=7 + index,
                shown=shown_ms > 0,
                shown_ms=shown_ms,
            )
            for index, text in enumerate(texts)
        ]
        for take in takes:
            assert self.log.take(take)
        return takes

    def does(
        self,
        kind: Kind,
        take: TakeRecord,
        span: tuple[int, int] | None = None,
        *,
        elapsed_ms: float = 2000.0,
        after_s: float = 60.0,
        **payload: object,
    ) -> FeedbackEvent:
        """The writer does something, `after_s` after the last thing; an acceptance is of all of it by default."""
        self._seconds += after_s
        start, end = span or ((0, len(take.text)) if kind == "accept" else (0, 0))
        event = FeedbackEvent(
            id=numbered("ev", self._next()),
            ts=self._clock + self._seconds,
            monotonic=self._seconds,
            generation=take.generation,
            take=take.id,
            kind=kind,
            start=start,
            end=end,
            elapsed_ms=elapsed_ms,
            payload=payload,
        )
        assert self.log.event(event)
        return event

    def stands(
        self,
        take: TakeRecord,
        now: str | None = None,
        *,
        accepted: str | None = None,
        horizon: Horizon = "save",
        elapsed_s: float = 200.0,
    ) -> None:
        """What is left of a take's accepted text, all of it by default."""
        accepted = take.text if accepted is None else accepted
        sighting = Sighting(take.id, horizon, accepted, accepted if now is None else now, elapsed_s)
        look = msgspec.structs.replace(measure(sighting), ts=self._clock + self._seconds)
        assert self.log.survival(look) == 1

    def kept(self, text: str, **more: Any) -> TakeRecord:
        """A take that was accepted and stands."""
        (take,) = self.offer(text, **more)
        self.does("accept", take)
        self.stands(take)
        return take

    def _next(self) -> int:
        self._count += 1
        return self._count


def every_file(folder: Path) -> dict[Path, tuple[bytes, int, int]]:
    """Every file under a folder with its bytes, mode and time of change."""
    return {
        path: (path.read_bytes(), path.stat().st_mode & 0o777, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def holding(folder: Path, *needles: str | bytes) -> Sequence[Path]:
    """The files under a folder in whose raw bytes any of the needles is found."""
    raw = [needle.encode() if isinstance(needle, str) else needle for needle in needles]
    return [
        path for path, (data, _, _) in every_file(folder).items() if any(needle in data for needle in raw)
    ]
