"""Tables of the cards that adapters and models have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table of `rows` under `head`, and a blank one."""
    return [_row(head), "|" + "---|" * len(head), *map(_row, rows), ""]


def _row(cells: Sequence[str]) -> str:
    shown = [display_line(cell).replace("|", "/") for cell in cells]
    return "|" + "|".join(f" {cell} " if cell else " " for cell in shown) + "|"
