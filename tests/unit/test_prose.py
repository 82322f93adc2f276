"""Prose in a box: lines that hold all of it, a window with the caret in it, nothing that the terminal would obey."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from storyteller.tui.prose import drawn, offset_at, row_of, rows, window

TEXTS = st.text(alphabet="ab ,.\n\t雨。“’é\x1b[/]", max_size=80)


@given(TEXTS, st.integers(1, 30))
def test_lines_hold_everything_but_the_newlines_in_order(text: str, width: int) -> None:
    lines = rows(text, width)
    assert "".join(text[start:end] for start, end in lines) == text.replace("\n", "")
    assert lines[-1][1] == len(text)
    assert len(lines) > text.count("\n")


@given(TEXTS, st.integers(3, 30))
def test_no_line_is_wider_than_the_box(text: str, width: int) -> None:
    assert all(
        cell_len(line) <= width for line in (painted.plain for painted in drawn(text, rows(text, width)))
    )


@given(TEXTS, st.integers(3, 30), st.integers(1, 6), st.data())
def test_the_caret_is_in_the_window(text: str, width: int, height: int, data: st.DataObject) -> None:
    lines = rows(text, width)
    offset = data.draw(st.integers(0, len(text)))
    shown = window(lines, offset, height)
    assert shown.start <= row_of(lines, offset) < shown.stop
    assert len(lines[shown]) == min(height, len(lines))
    painted = drawn(text, lines[shown], caret=offset)
    assert sum("reverse" in str(span.style) for line in painted for span in line.spans) == 1


@given(TEXTS, st.integers(3, 30), st.data())
def test_a_cell_of_a_line_is_the_character_that_is_painted_there(
    text: str, width: int, data: st.DataObject
) -> None:
    line = data.draw(st.sampled_from(rows(text, width)))
    painted = drawn(text, [line])[0].plain
    x = data.draw(st.integers(0, width))
    offset = offset_at(text, line, x)
    assert line[0] <= offset <= line[1]
    assert cell_len(painted[: offset - line[0]]) <= max(x, 0)


def test_the_caret_after_a_space_that_fills_a_line_is_drawn_once() -> None:
    painted = drawn("ab ", rows("ab ", 3), caret=3)
    assert [line.plain for line in painted] == ["ab ", " "]
    assert [bool(line.spans) for line in painted] == [False, True]


def test_controls_are_pictures_and_brackets_are_brackets() -> None:  # safety 44, 78
    (content,) = drawn("[/red]\x1b]0;x\x07 \x9b", [(0, 15)])
    assert content.plain == "[/red]\u241b]0;x\u2407 \ufffd"
    assert content.spans == []


def test_styles_go_where_they_belong() -> None:
    text = "one two three"
    first, second = drawn(text, [(0, 8), (8, 13)], [(4, 10, "italic")], caret=13)
    assert (first.plain, second.plain) == ("one two ", "three ")
    assert [(first.plain[span.start : span.end], span.style) for span in first.spans] == [("two ", "italic")]
    assert [(second.plain[span.start : span.end], span.style) for span in second.spans] == [
        ("th", "italic"),
        (" ", "reverse"),
    ]
