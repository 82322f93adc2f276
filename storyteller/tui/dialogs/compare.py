"""Two versions of a text, line by line, and a question about them."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from storyteller.text import display_line
from storyteller.tui.dialogs.choice import Answer, Choice
from storyteller.tui.dialogs.dialog import words
from storyteller.tui.dialogs.panel import GIVES_WAY
from storyteller.tui.editor.provisional import common_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from textual.widget import Widget

_CONTEXT: Final = 1  # unchanged lines shown around a change
_SHOWN_LINES: Final = 400
_BEFORE_DIFFERENCE: Final = 160  # characters of a paragraph shown before what differs in it
_SHOWN_COLUMNS: Final = 600  # of one line; a paragraph is one line
_COMPARED_LINES: Final = 20_000  # past this, finding the differences could take minutes

Diff = list[tuple[str, str]]  # (mark, line): mark is "-", "+", " " or "…"


def differences(old: str, new: str) -> Diff:
    """The lines that differ, with a little of what stands around them. Line ends are shown where the texts' own differ."""
    if all(text.count("\n") == text.count("\r\n") for text in (old, new)):
        old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    before, after = (text.split("\n") if text else [] for text in (old, new))
    if len(before) + len(after) > _COMPARED_LINES:
        return [("…", f"{len(before):,} lines against {len(after):,}: too long to compare here")]
    rows = list(_rows(before, after))
    left_out = len(rows) - _SHOWN_LINES
    return rows if left_out <= 0 else [*rows[:_SHOWN_LINES], ("…", f"{left_out:,} more lines")]


class Compare(Choice):
    """Shows `old` against `new` and asks what to do."""

    def __init__(
        self,
        title: str,
        text: str,
        answers: Sequence[Answer],
        *,
        rows: Diff,
        old_name: str,
        new_name: str,
        leave: str = "",
        unasked: bool = False,
    ) -> None:
        super().__init__(title, text, answers, wide=True, leave=leave, unasked=unasked)
        self._rows = rows
        self._names = (old_name, new_name)

    def content(self) -> Iterable[Widget]:
        """The particulars, the differences, the answers."""
        text, *rest = super().content()
        yield text
        old, new = self._names
        yield words(f"- {old}    + {new}", "foot")
        with_marks = [_drawn(mark, line) for mark, line in self._rows] or [Content("no line differs")]
        shown = Static(Content("\n").join(with_marks), markup=False)
        yield VerticalScroll(shown, classes=f"scroll {GIVES_WAY}")
        yield from rest


def _rows(before: list[str], after: list[str]) -> Iterator[tuple[str, str]]:
    groups = SequenceMatcher(None, before, after).get_grouped_opcodes(_CONTEXT)
    for number, group in enumerate(groups):
        if number:
            yield "…", ""
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                yield from ((" ", line) for line in before[old_start:old_end])
            else:
                old, new = _brought_forward(before[old_start:old_end], after[new_start:new_end])
                yield from (("-", line) for line in old)
                yield from (("+", line) for line in new)


def _brought_forward(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Lines that differ, paragraphs mostly, begun shortly before the difference where that would not be seen."""
    if len(old) != len(new):
        return old, new
    pairs = [_from_the_difference(one, other) for one, other in zip(old, new, strict=True)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def _from_the_difference(one: str, other: str) -> tuple[str, str]:
    skipped = common_prefix(one, other) - _BEFORE_DIFFERENCE
    if skipped <= 0:
        return one, other
    return "…" + one[skipped:], "…" + other[skipped:]


def _drawn(mark: str, line: str) -> Content:
    shown = display_line(line.replace("\t", "    "))
    if len(shown) > _SHOWN_COLUMNS:
        shown = shown[:_SHOWN_COLUMNS] + "…"
    style = {"-": "$room-alarm", "+": "$origin-edited"}.get(mark, "$room-muted")
    return Content.assemble((f"{mark} {shown}", style))
