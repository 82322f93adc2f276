"""Undo and redo: one list of steps for the writer's edits and for what was accepted.

A step is one replacement of text at an offset, with the origins and the selection that belong to it.
Letters typed in a row grow into one step, so undoing is always a single replacement.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from storyteller.manuscript.provenance import cut, merged

if TYPE_CHECKING:
    from collections.abc import Callable

    from storyteller.manuscript.offer import Offer, Piece
    from storyteller.manuscript.provenance import Run

_PAUSE_S: Final = 2.0
_LONGEST_STEP: Final = 100
_LONGEST_KEY: Final = 16  # code points of one character as people see it
_STEPS: Final = 1000


@dataclass
class Change:
    """`removed` at `start` became `inserted`.

    Attributes:
        before: the selection before, as offsets of anchor and caret.
        after: the selection after.
        origins: who wrote the text before the change from `lead` characters before `start` to `tail`
            characters behind it: the words around an edit change their origin too.
        accepted: the offer and the piece, where this was an acceptance.
    """

    start: int
    removed: str
    inserted: str
    before: tuple[int, int]
    after: tuple[int, int]
    origins: list[Run]
    lead: int = 0
    tail: int = 0
    accepted: tuple[Offer, Piece] | None = None

    @property
    def first(self) -> int:
        """Where the origins begin."""
        return self.start - self.lead

    @property
    def last(self) -> int:
        """Where the origins end in the text after the change."""
        return self.start + len(self.inserted) + self.tail


@dataclass
class History:
    """What can be undone and redone. `clock` gives seconds and only moves forward."""

    clock: Callable[[], float] = time.monotonic
    _undo: deque[Change] = field(default_factory=lambda: deque(maxlen=_STEPS))
    _redo: list[Change] = field(default_factory=list)
    _growing: bool = False
    _touched: float = 0.0

    @property
    def last(self) -> Change | None:
        """The step that an undo would take back."""
        return self._undo[-1] if self._undo else None

    @property
    def can_redo(self) -> bool:
        """Whether something undone can be done again."""
        return bool(self._redo)

    def checkpoint(self) -> None:
        """What is recorded next is a step of its own."""
        self._growing = False

    def clear(self) -> None:
        """Forget everything."""
        self._undo.clear()
        self._redo.clear()
        self._growing = False

    def record(self, change: Change) -> None:
        """A change was made. A key that follows on from the last one becomes part of its step."""
        now = self.clock()
        last = self.last
        if last is not None and self._growing and now - self._touched <= _PAUSE_S and follows(last, change):
            grow(last, change)
        else:
            self._undo.append(change)
        self._growing = _is_key(change)
        self._touched = now
        self._redo.clear()

    def pop_undo(self) -> Change | None:
        """The step to undo; it can be redone afterwards."""
        self._growing = False
        if not self._undo:
            return None
        change = self._undo.pop()
        self._redo.append(change)
        return change

    def pop_redo(self) -> Change | None:
        """The step to redo; it can be undone afterwards."""
        self._growing = False
        if not self._redo:
            return None
        change = self._redo.pop()
        self._undo.append(change)
        return change

    def take_back(self) -> Change | None:
        """The last step, as if it had never been made."""
        self._growing = False
        return self._undo.pop() if self._undo else None


def _is_key(change: Change) -> bool:
    """Whether a change is one key's doing, and not a newline, a paste or an acceptance."""
    text = change.inserted or change.removed
    if change.accepted is not None or (change.inserted and change.removed) or len(text) > _LONGEST_KEY:
        return False
    return "\n" not in text and "\r" not in text


def follows(last: Change, change: Change) -> bool:
    """Whether `change` goes on where `last` left off, in the same manner."""
    if not _is_key(change) or len(last.inserted) + len(last.removed) >= _LONGEST_STEP:
        return False
    if change.inserted:
        return bool(last.inserted) and change.start == last.start + len(last.inserted)
    backwards = change.start + len(change.removed) == last.start
    return not last.inserted and (backwards or change.start == last.start)


def grow(last: Change, change: Change) -> None:
    """Make one change of two: `last`, then `change` which follows it."""
    first, end = min(last.first, change.first), last.last
    reached = change.start + len(change.removed) + change.tail
    earlier = cut(change.origins, 0, last.first - change.first)
    later = cut(change.origins, end - change.first, reached - change.first)
    last.origins = merged([*earlier, *last.origins, *later])
    if change.inserted:
        last.inserted += change.inserted
    elif change.start < last.start:
        last.removed = change.removed + last.removed
        last.start = change.start
    else:
        last.removed += change.removed
    last.lead = last.start - first
    grown = len(change.inserted) - len(change.removed)
    last.tail = max(end, reached) + grown - last.start - len(last.inserted)
    last.after = change.after
