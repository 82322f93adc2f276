"""The chapter of a place."""

from __future__ import annotations

import pytest

from storyteller.tui.outline import heading_above

TEXT = "before\n# One\ntext\n#tag\n## The *second* ##\nmore\nlast line"


@pytest.mark.parametrize(
    ("at", "chapter"),
    [
        (0, None),
        (TEXT.index("# One"), "One"),
        (TEXT.index("text"), "One"),
        (TEXT.index("#tag") + 2, "One"),
        (TEXT.index("## ") + 1, "The *second*"),
        (len(TEXT), "The *second*"),
    ],
)
def test_heading_above(at: int, chapter: str | None) -> None:
    assert heading_above(TEXT, at) == chapter


def test_a_heading_in_the_first_line_counts() -> None:
    assert heading_above("# Prologue\n\nIt was", 14) == "Prologue"


def test_no_heading() -> None:
    assert heading_above("a\n\nb", 3) is None
    assert heading_above("", 0) is None
