r"""Find and replace over a string: plain or regular expression, with or without case, whole words.

Line ends count as `\n` whatever the file has. A regular expression runs in a process of its own and is
ended after two seconds: Python's engine can take longer than the universe for `(a+)+$`, and would take the
screen with it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storyteller.errors import UserError

MOST_MATCHES: Final = 100_000
TIMEOUT_S: Final = 2.0
_TITLE: Final = "That cannot be searched for"


@dataclass(frozen=True)
class Query:
    """What to look for. `regex`: `text` is a regular expression; `case`: letters must agree in case."""

    text: str
    regex: bool = False
    case: bool = False
    words: bool = False


@dataclass(frozen=True)
class Matches:
    """What was found: spans in order, and for each the text that would replace it, if that was asked."""

    spans: tuple[tuple[int, int], ...] = ()
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.spans)

    def between(self, start: int, end: int) -> tuple[tuple[int, int], ...]:
        """The spans that touch the characters from `start` to `end`."""
        first = bisect_right(self.spans, start, key=lambda span: span[1])
        last = bisect_left(self.spans, end, key=lambda span: span[0])
        return self.spans[first:last]

    def at_or_after(self, offset: int) -> int:
        """The index of the first match that begins at `offset` or later; round to 0 past the last."""
        index = bisect_left(self.spans, offset, key=lambda span: span[0])
        return index if index < len(self.spans) else 0

    def before(self, offset: int) -> int:
        """The index of the last match that begins before `offset`; round to the last before the first."""
        return bisect_left(self.spans, offset, key=lambda span: span[0]) - 1 if self.spans else 0

    def shifted(self, start: int, removed: int, added: int) -> Matches:
        """The matches after an edit: those it touched are gone, those behind it moved."""
        first = bisect_right(self.spans, start, key=lambda span: span[1])
        last = bisect_left(self.spans, start + removed, key=lambda span: span[0])
        grown = added - removed
        behind = tuple((a + grown, b + grown) for a, b in self.spans[max(first, last) :])
        return Matches(self.spans[:first] + behind)


def search(text: str, query: Query, replacement: str | None = None) -> Matches:
    r"""All matches of `query` in `text`, at most `MOST_MATCHES`; empty matches are left out.

    In a regular expression `^` and `$` are the ends of a line, and `\1` in `replacement` is a group.

    Raises:
        UserError: the pattern is no regular expression, or takes too long on this text.
    """
    if not query.text:
        return Matches()
    plain, returns = _without_returns(text)
    pattern = query.text if query.regex else re.escape(query.text)
    if query.words:
        pattern = rf"(?<!\w)(?:{pattern})(?!\w)"
    flags = re.MULTILINE | (0 if query.case else re.IGNORECASE)
    if query.regex:
        found = _search_in_child(pattern, flags, plain, replacement)
    else:
        found = _search_here(pattern, flags, plain, replacement)
    if not returns:
        return found
    spans = tuple((a + bisect_left(returns, a), b + bisect_left(returns, b)) for a, b in found.spans)
    return Matches(spans, found.texts)


def _search_here(pattern: str, flags: int, text: str, replacement: str | None) -> Matches:
    spans: list[tuple[int, int]] = []
    for match in re.finditer(pattern, text, flags):
        spans.append(match.span())
        if len(spans) >= MOST_MATCHES:
            break
    return Matches(tuple(spans), (replacement,) * len(spans) if replacement is not None else ())


def _search_in_child(pattern: str, flags: int, text: str, replacement: str | None) -> Matches:
    try:
        re.compile(pattern, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(
            f"The pattern is not a regular expression ({error}). Mend it, or search for plain text.",
            title=_TITLE,
        ) from error
    question = {
        "pattern": pattern,
        "flags": flags,
        "text": text,
        "template": replacement,
        "most": MOST_MATCHES,
    }
    child = Path(__file__).with_name("regex_child.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(child)],
            input=json.dumps(question).encode("ascii"),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(
            "The pattern takes too long on this manuscript. Make it simpler: avoid a repeat inside a repeat.",
            title=_TITLE,
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(
            "The search could not be started on this machine. Search for plain text.", title=_TITLE
        ) from error
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise UserError(
            f"The replacement does not fit the pattern ({answer['error']}). Mend it.", title=_TITLE
        )
    spans = tuple((start, end) for start, end in answer["spans"])
    return Matches(spans, tuple(answer["texts"]))


def _without_returns(text: str) -> tuple[str, list[int]]:
    r"""`text` with `\n` for every line end, and where in it, in order, a `\r` of a `\r\n` went missing."""
    if "\r" not in text:
        return text, []
    parts = text.split("\r\n")
    places: list[int] = []
    position = 0
    for part in parts[:-1]:
        position += len(part)
        places.append(position)
        position += 1
    return "\n".join(parts).replace("\r", "\n"), places
