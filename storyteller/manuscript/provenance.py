"""Who wrote which characters: the writer, the model, or the writer upon the model.

Kept as runs, so that an edit costs what it touches and not what the manuscript holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from storyteller.manuscript.segments import is_letter, letters_after, letters_before
from storyteller.manuscript.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Origin = Literal["mine", "accepted", "edited"]
"""`mine`: the writer's own; `accepted`: from an offer; `edited`: accepted, then changed by the writer."""

Run: TypeAlias = tuple[int, Origin]
"""So many characters of one origin."""

_LETTERS: Final[dict[Origin, str]] = {"mine": "m", "accepted": "a", "edited": "e"}
_ORIGINS: Final = {letter: origin for origin, letter in _LETTERS.items()}
_JSON: Final = re.compile(r"(?:\d+[mae])*")


@dataclass(frozen=True)
class Span:
    """Characters `start` to `end` of one origin."""

    start: int
    end: int
    origin: Origin


class Provenance:
    """The origin of every character of a text of `length` characters, at first all the writer's."""

    def __init__(self, length: int = 0) -> None:
        self._sizes = Totals([length] if length else [])
        self._origins: list[Origin] = ["mine"] if length else []

    @property
    def length(self) -> int:
        """How many characters it covers."""
        return self._sizes.total

    def runs(self, start: int, end: int) -> list[Run]:
        """What stands from `start` to `end`, as the fewest runs; `put` restores it."""
        runs: list[Run] = []
        if start >= end:
            return runs
        index = self._sizes.find(start)
        position = self._sizes.before(index)
        while position < end and index < len(self._origins):
            following = position + self._sizes[index]
            size = min(following, end) - max(position, start)
            if size > 0:
                runs.append((size, self._origins[index]))
            position = following
            index += 1
        return runs

    def spans(self, start: int = 0, end: int | None = None) -> list[Span]:
        """The spans between `start` and `end` that are not the writer's own, in order, cut to that range."""
        found: list[Span] = []
        position = start
        for size, origin in self.runs(start, self.length if end is None else end):
            if origin != "mine":
                found.append(Span(position, position + size, origin))
            position += size
        return found

    def replace(self, start: int, end: int, length: int, origin: Origin) -> None:
        """The characters from `start` to `end` made way for `length` others of `origin`."""
        self.put(start, end, [(length, origin)])

    def put(self, start: int, end: int, runs: Iterable[Run]) -> None:
        """The characters from `start` to `end` made way for others with the origins `runs`."""
        if not self._origins:
            self._store(0, 0, merged(runs))
            return
        first = self._sizes.find(start)
        if first > 0 and self._sizes.before(first) == start:
            first -= 1  # so that the new runs can merge with what stands before them
        last = self._sizes.find(end)
        opening = self._sizes.before(first)
        closing = self._sizes.before(last) + self._sizes[last]
        before: Run = (start - opening, self._origins[first])
        after: Run = (closing - end, self._origins[last])
        self._store(first, last + 1, merged([before, *runs, after]))

    def to_json(self) -> str:
        """All of it in a short string that JSON carries as it is: `120m31a4e`."""
        pairs = zip(self._sizes, self._origins, strict=True)
        return "".join(f"{size}{_LETTERS[origin]}" for size, origin in pairs)

    @classmethod
    def from_json(cls, data: str, length: int) -> Provenance:
        """What `to_json` wrote, for a text of `length` characters.

        Raises:
            ValueError: not such a string, or it speaks of a text of another length.
        """
        if not _JSON.fullmatch(data):
            raise ValueError("not a provenance string")
        runs = [(int(run.group(1)), _ORIGINS[run.group(2)]) for run in re.finditer(r"(\d+)([mae])", data)]
        if sum(size for size, _ in runs) != length:
            raise ValueError("the provenance is of another text")
        provenance = cls()
        provenance.put(0, 0, runs)
        return provenance

    def _store(self, first: int, last: int, runs: Sequence[Run]) -> None:
        self._sizes.splice(first, last, [size for size, _ in runs])
        self._origins[first:last] = [origin for _, origin in runs]


def merged(runs: Iterable[Run]) -> list[Run]:
    """The same origins in the fewest runs."""
    result: list[Run] = []
    for size, origin in runs:
        if size <= 0:
            continue
        if result and result[-1][1] == origin:
            result[-1] = (result[-1][0] + size, origin)
        else:
            result.append((size, origin))
    return result


def cut(runs: Iterable[Run], start: int, end: int) -> list[Run]:
    """The part of `runs` from character `start` to `end`."""
    result: list[Run] = []
    position = 0
    for size, origin in runs:
        part = min(position + size, end) - max(position, start)
        if part > 0:
            result.append((part, origin))
        position += size
    return result


def written(provenance: Provenance, start: int, removed: str, inserted: str, left: str, right: str) -> None:
    """The writer replaced `removed` at `start` by `inserted`, between `left` and `right`.

    What is typed is the writer's. A word of the model's that was cut, split or lengthened becomes `edited`,
    with the letters that went into it; its neighbours stay `accepted`.
    """
    provenance.replace(start, start + len(removed), len(inserted), "mine")
    end = start + len(inserted)
    if _same_word(left[-1:], (removed or right)[:1]) or _same_word(left[-1:], (inserted or right)[:1]):
        head = start - letters_before(left)
        joined = start + letters_after(inserted) if _same_word(left[-1:], inserted[:1]) else start
        _touch(provenance, head, start, head, joined)
    if _same_word((removed or left)[-1:], right[:1]) or _same_word((inserted or left)[-1:], right[:1]):
        tail = end + letters_after(right)
        joined = end - letters_before(inserted) if _same_word(inserted[-1:], right[:1]) else end
        _touch(provenance, end, tail, joined, tail)


def _same_word(before: str, after: str) -> bool:
    return bool(before and after) and is_letter(before) and is_letter(after)


def _touch(provenance: Provenance, start: int, end: int, whole_start: int, whole_end: int) -> None:
    """If anything between `start` and `end` was the model's, it and the letters typed into it are edited."""
    before = provenance.runs(start, end)
    if all(origin == "mine" for _, origin in before):
        return
    marked: list[Run] = []
    position = whole_start
    for size, origin in provenance.runs(whole_start, whole_end):
        inside = start <= position < end
        marked.append((size, "mine" if inside and origin == "mine" else "edited"))
        position += size
    provenance.put(whole_start, whole_end, marked)
