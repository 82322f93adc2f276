"""Texts as a model should write them: straight quotes, and nothing that a printer or a publisher put around them.

Each function changes nothing that it has cleaned before, but `trimmed`, which cuts by share.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from storyteller.training.corpus.clean import plain_newlines

if TYPE_CHECKING:
    from collections.abc import Callable

    from storyteller.training.pretraining.recipe import Form

_STRAIGHT: Final = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "\u00a0": " ", "\u200b": None, "\u00ad": None}
)
_LOST: Final = "\ufffd"  # a character that nobody can read any more
_LOST_APOSTROPHE: Final = re.compile(f"(?<=[^\\W\\d_]){_LOST}(?=[^\\W\\d_])")
_LINE_ENDS: Final = re.compile(r"[ \t]+\n")
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_GUTENBERG: Final = re.compile(
    r"^\*{3} ?(?P<which>START|END) OF (?:THE|THIS) PROJECT GUTENBERG[^\n]*$", re.M | re.I
)
_CONTENTS: Final = re.compile(r"^(?:table of )?contents[.:]?$", re.I)
_NUMBERED: Final = re.compile(
    r"^(?:chapter|book|part|canto|letter|act|scene|section) +(?:[ivxlcdm]+|\d+|[a-z]+)\b|^(?:[ivxlcdm]+|\d+)[.)] ",
    re.I,
)
_PAGE: Final = re.compile(r"[\s.]\d{1,4}$")
_LONGEST_ENTRY: Final = 90  # characters of a line in a table of contents
_FEWEST_ENTRIES: Final = 4  # numbered headings with nothing between them: no chapter is that short
_EDGE: Final = 0.03  # of a book, at either end: title pages, dedications, notices
_LATEST: Final = 0.1  # of a book: where it begins at the latest
_POEM: Final = (60, 8_000)  # characters; shorter ones are mottoes, longer ones epics that drown the others
_CODE: Final = (400, 120_000)  # shorter files only import, longer ones are tables


def cleaned(text: str, title: str, form: Form) -> tuple[str, str]:
    """A document as it is learned, and the text whose opening says whether it is held out; empty where it is left out.

    Args:
        text: as it was found.
        title: goes above it, but in a book; may be empty.
        form: `book`, without its edges; `prose` and `poem`, with their titles; `code`, as it is.
    """
    if form == "code":
        code = text.rstrip() + "\n"
        return (code, code) if _CODE[0] < len(code) <= _CODE[1] and _LOST not in code else ("", "")
    plain = without_notices(tidy(text))
    if form == "poem" and not _POEM[0] <= len(plain) <= _POEM[1]:
        return "", ""
    whole = trimmed(plain) if form == "book" else _titled(plain, tidy(title))
    kept = mended(whole if form == "poem" else without_contents(whole))
    return ("", "") if _LOST in kept else (kept, whole)


def tidy(text: str) -> str:
    """`text` with straight quotes, plain line ends, nothing at their ends and one blank line at a time."""
    plain = _LINE_ENDS.sub("\n", plain_newlines(text.translate(_STRAIGHT)))
    return _BLANK_LINES.sub("\n\n", plain).strip()


def mended(text: str) -> str:
    """`text` with an apostrophe for a character that was lost between two letters: in old verse it was one."""
    return _LOST_APOSTROPHE.sub("'", text)


def without_notices(text: str) -> str:
    """What stands between Project Gutenberg's START and END lines, or all of it where there are none."""
    while (mark := _GUTENBERG.search(text)) is not None:
        text = text[mark.end() :] if mark["which"].upper() == "START" else text[: mark.start()]
    return text.strip()


def trimmed(book: str) -> str:
    """A book without its edges, begun at a paragraph."""
    start = book.find("\n\n", int(len(book) * _EDGE))
    if start > len(book) * _LATEST:  # it has few paragraphs, and so no title page
        start = 0
    return book[max(0, start) : int(len(book) * (1 - _EDGE))].strip()


def without_contents(text: str) -> str:
    """`text` without tables of contents: short lines after that heading, or numbered headings with nothing between."""
    while (shorter := _without_contents(text)) != text:
        text = shorter
    return text


def _without_contents(text: str) -> str:
    kept: list[str] = []
    lines = text.split("\n")
    place = 0
    while place < len(lines):
        after = _after_contents(lines, place)
        if after == place:
            kept.append(lines[place])
            after += 1
        place = after
    return _BLANK_LINES.sub("\n\n", "\n".join(kept)).strip()


def _after_contents(lines: list[str], place: int) -> int:
    """The line after a table of contents that begins at `place`, or `place` where none does."""
    if _CONTENTS.match(lines[place].strip()):
        return _run_of(lines, place + 1, _is_entry)[0]
    if not _NUMBERED.match(lines[place].strip()):
        return place
    after, entries = _run_of(lines, place, _is_numbered)
    return after if entries >= _FEWEST_ENTRIES else place


def _run_of(lines: list[str], place: int, belongs: Callable[[str], bool]) -> tuple[int, int]:
    """The line after the lines from `place` on that belong, blank ones between them too, and how many belong."""
    after, entries = place, 0
    for number in range(place, len(lines)):
        line = lines[number].strip()
        if line and not belongs(line):
            break
        if line:
            after, entries = number + 1, entries + 1
    return after, entries


def _is_numbered(line: str) -> bool:
    return len(line) <= _LONGEST_ENTRY and _NUMBERED.match(line) is not None


def _is_entry(line: str) -> bool:
    """Whether a line after the heading can be of the table: a chapter, a page, or a few words that are no sentence."""
    if len(line) > _LONGEST_ENTRY:
        return False
    return bool(_NUMBERED.match(line) or _PAGE.search(line)) or line[-1].isalnum()


def _titled(text: str, title: str) -> str:
    return f"{title}\n\n{text}" if title and not text.startswith(title) else text
