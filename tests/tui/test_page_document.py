"""The lines beneath the page: exact text by offset and by location."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from storyteller.tui.editor.document import Document, dominant_newline, split_lines, with_newlines

# What ends a line, what str.splitlines believes to end one, and what breaks naive code.
TEXTS = st.text("ab\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\ud800漢", max_size=40)


@given(TEXTS)
def test_lines_joined_are_the_text(text: str) -> None:
    document = Document(text)
    assert document.text == text
    lines, endings = split_lines(text)
    assert "".join(line + ending for line, ending in zip(lines, endings, strict=True)) == text
    assert lines == re.split("\r\n|\r|\n", text)


@given(TEXTS, st.data())
def test_any_replacements_leave_the_text_that_a_string_would_be(text: str, data: st.DataObject) -> None:
    document = Document(text)
    for _ in range(6):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 8)))
        fresh = data.draw(st.text("a\n\r\x0c漢", max_size=6))
        before = document.line_count
        removed = document.slice(start, end)
        assert removed == text[start:end]
        text = text[:start] + fresh + text[end:]
        splice = document.replace(start, end, fresh)
        assert document.line_count == before - splice.removed + splice.added
        # Asked for in any order, joined or not.
        row = data.draw(st.integers(0, document.line_count - 1))
        assert document.slice(document.row_start(row), document.length).startswith(document[row])
        assert (document.lines, document.length) == (split_lines(text)[0], len(text))
        assert document.text == text


@given(TEXTS)
def test_offsets_and_locations_are_each_others_inverse(text: str) -> None:
    document = Document(text)
    for offset in range(len(text) + 1):
        row, column = document.location_of(offset)
        inside_a_line_end = text[offset - 1 : offset + 1] == "\r\n" and offset > 0
        assert document.offset_of((row, column)) == (offset - 1 if inside_a_line_end else offset)
    assert document.location_of(len(text) + 5) == document.end
    assert document.offset_of((document.line_count + 3, 0)) == len(text)


@given(TEXTS, st.integers(0, 40), st.integers(0, 40))
def test_a_range_is_exact_and_can_be_put_back(text: str, start: int, end: int) -> None:
    document = Document(text)
    first, last = sorted((document.location_of(start), document.location_of(end)))
    removed = document.get_text_range(first, last)
    result = document.replace_range(first, last, "")
    assert result.replaced_text == removed
    document.replace_range(first, first, removed)
    assert document.text == text


def test_new_lines_get_the_commonest_line_end() -> None:
    assert dominant_newline(["\r\n", "\n", "\r\n", ""]) == "\r\n"
    assert dominant_newline(["\r", "\n", ""]) == "\n"
    assert dominant_newline([""]) == "\n"
    assert with_newlines("a\rb\r\nc\nd", "\r\n") == "a\r\nb\r\nc\r\nd"
    assert with_newlines("a\nb", "\r") == "a\rb"
