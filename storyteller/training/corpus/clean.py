"""A text as a genre wants it learned: line breaks, indentation and blank lines that mean something, and no others.

`clean` changes nothing that it has cleaned before.
"""

from __future__ import annotations

import re
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from storyteller.text import writable_text

if TYPE_CHECKING:
    from storyteller.genres import Genre

_OTHER_NEWLINES: Final = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_MARKS: Final = re.compile(r"<\|endoftext\|>|<\|startoftext\|>")
_BLANKS: Final = re.compile(r"(?<=\S)[ \t]{2,}|(?<=\S)\t")

_NARROWEST: Final = 55  # columns; narrower lines are verse, lists or headings
_WIDEST: Final = 100
_SLACK: Final = 10  # columns a wrapped line may fall short of the width: editors wrap unevenly
_FULL_SHARE: Final = 0.6  # of line breaks that must be there for want of room
_FEWEST: Final = 3  # line breaks that can show a habit


def plain_newlines(text: str) -> str:
    r"""`text` with every kind of line end as `\n`, form feeds too, and no other control characters but tabs."""
    return writable_text(_OTHER_NEWLINES.sub("\n", text.replace("\ufeff", "")))


def split_documents(text: str) -> list[str]:
    """The parts of `text` between the end marks GPT-2's tools write; the marks themselves are never text."""
    return [part for part in _MARKS.split(text) if part.strip()]


def clean(text: str, genre: Genre) -> str:
    """`text` by the genre's rules; empty where nothing is left.

    Blanks at line ends go, and blank lines past one (two where line breaks are kept: they part functions). Where
    line breaks mean nothing, paragraphs wrapped at a width are joined again. Where indentation means nothing it goes,
    and runs of blanks become one; else the margin common to all lines goes.
    """
    text = plain_newlines(text)
    if genre.keep_line_breaks:
        return _once(text, genre)
    # Joined lines make another text to judge; few are judged more than twice, since each time most breaks go.
    while (cleaned := _once(text, genre)) != text:
        text = cleaned
    return text


def _once(text: str, genre: Genre) -> str:
    lines = [line.rstrip() for line in text.split("\n")]
    if not genre.keep_indentation:
        lines = [_BLANKS.sub(" ", line) for line in lines]
    if not genre.keep_line_breaks:
        lines = unwrapped(lines)
    if genre.keep_indentation:
        lines = textwrap.dedent("\n".join(lines)).split("\n")
    else:
        lines = [line.lstrip() for line in lines]
    return _few_blank_lines(lines, 2 if genre.keep_line_breaks else 1)


def _few_blank_lines(lines: list[str], most: int) -> str:
    kept: list[str] = []
    blank = 0
    for line in lines:
        blank = 0 if line else blank + 1
        if blank <= most:
            kept.append(line)
    return "\n".join(kept).strip("\n")


def unwrapped(lines: list[str]) -> list[str]:
    """Lines of a text wrapped at a width, joined to paragraphs; the same lines where it is not wrapped.

    A break is undone where the next word had no room. A short line's break stays, and so does the break before an
    indented line: verse in a novel, headings, letters' signatures.
    """
    width = _wrap_width(lines)
    if width is None:
        return lines
    joined: list[str] = []
    paragraph: list[str] = []
    previous = ""
    for line in lines:
        if paragraph and _had_no_room(previous, line, width):
            hyphen = previous[-1] == "-" and previous[-2:-1].isalpha()
            paragraph.append(line if hyphen else f" {line}")
        else:
            if paragraph:
                joined.append("".join(paragraph))
            paragraph = [line]
        previous = line
    return [*joined, "".join(paragraph)]


def _wrap_width(lines: list[str]) -> int | None:
    """The width a text is wrapped at, in columns; None where its lines are paragraphs, verse or code."""
    lengths = sorted(map(len, filter(None, lines)))
    if len(lengths) <= _FEWEST:
        return None
    width = lengths[len(lengths) * 98 // 100]
    if not _NARROWEST <= width <= _WIDEST:
        return None
    breaks = [pair for pair in pairwise(lines) if all(pair)]
    full = sum(_had_no_room(line, following, width) for line, following in breaks)
    return width if len(breaks) >= _FEWEST and full >= _FULL_SHARE * len(breaks) else None


def _had_no_room(line: str, following: str, width: int) -> bool:
    if not line or not following or following[0].isspace():
        return False
    word, _, _ = following.partition(" ")
    return len(line) + 1 + len(word) > width - _SLACK
