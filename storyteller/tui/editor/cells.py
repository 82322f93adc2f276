"""How many terminal cells text takes on the page, and where in it each of them lies.

Everything is measured on the text as it is shown (`editor_line`), where a control character takes the cell
of the picture that stands for it. Tab stops count from the start of the visual line.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from storyteller.manuscript.segments import is_cjk, next_cluster
from storyteller.text import editor_line

if TYPE_CHECKING:
    from collections.abc import Iterator

# Characters that take exactly one cell as they are shown. Newlines never stand in a line, and a tab is not here.
_SINGLE: Final = re.compile(
    "[\x00-\x08\x0a-\xac\xae-\u02ff\u0370-\u0377\u037a-\u037f\u0384-\u038a\u038e-\u03a1\u03a3-\u0482"
    "\u048a-\u052f\u2010-\u2027\u2030-\u205e]*"
)
_DOUBLE: Final = re.compile(
    "[\u3001-\u3020\u3041-\u3096\u30a0-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff60]*"
)


def is_single(text: str) -> bool:
    """Whether every character takes one cell, so that columns and cells are the same; no tab among them."""
    if text.isascii():
        return "\t" not in text
    return _SINGLE.fullmatch(text) is not None


def is_double(text: str) -> bool:
    """Whether every character is Han, kana or one of their punctuation, two cells wide, and no mark."""
    return _DOUBLE.fullmatch(text) is not None


def is_ideographic(character: str) -> bool:
    """Whether a line may break beside `character` without a space: Han, kana and their punctuation."""
    return character > "\u3000" and (is_cjk(character) or is_double(character))


def cluster_width(cluster: str, x: int, tab: int) -> int:
    """The cells of one character as people see it, when it begins at cell `x`."""
    return tab - x % tab if cluster == "\t" else _cells(cluster)


@lru_cache(maxsize=8192)
def _cells(cluster: str) -> int:
    return cell_len(editor_line(cluster))


def clusters(text: str, tab: int) -> Iterator[tuple[int, int, int]]:
    """Each character of a visual line: where it begins, where it ends, and the cell just past it."""
    start = x = 0
    while start < len(text):
        end = next_cluster(text, start)
        x += cluster_width(text[start:end], x, tab)
        yield start, end, x
        start = end


def x_of(text: str, column: int, tab: int) -> int:
    """The cell at which `column` of a visual line begins."""
    if is_single(text):
        return min(column, len(text))
    x = 0
    for start, _, past in clusters(text, tab):
        if start >= column:
            break
        x = past
    return x


def column_at(text: str, x: int, tab: int) -> int:
    """The column whose character lies on cell `x` of a visual line; its length where nothing does."""
    if is_single(text):
        return min(max(x, 0), len(text))
    for start, _, past in clusters(text, tab):
        if x < past:
            return start
    return len(text)


def shown(text: str, x: int, tab: int) -> str:
    """`text` as it is painted from cell `x` on: control characters as pictures, tabs as spaces."""
    if "\t" not in text:
        return editor_line(text)
    parts: list[str] = []
    for part in re.split("(\t)", text):
        piece = " " * (tab - x % tab) if part == "\t" else editor_line(part)
        x += cell_len(piece)
        parts.append(piece)
    return "".join(parts)
