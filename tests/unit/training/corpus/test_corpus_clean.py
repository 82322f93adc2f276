"""Cleaning by a genre's rules: what is text stays, and a second cleaning changes nothing."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.genres import shipped_genres
from storyteller.training.corpus.clean import clean, split_documents, unwrapped

GENRES = shipped_genres()
PROSE = (
    "The lighthouse keeper had counted the ships for thirty years and never once had he been wrong, until "
    "the winter when the fog came down and would not lift. He lit the lamp at four, and the fog ate the light "
    "as bread eats milk, and somewhere out in the white a bell began to ring."
)
VERSE = "The tide went out.\nThe moon came in.\n  It sat on the chair\n  by the window."


@pytest.mark.parametrize("columns", [60, 70, 78, 95])
def test_prose_wrapped_at_a_width_is_joined_to_its_paragraphs(columns: int) -> None:
    wrapped = "\r\n\r\n".join("\r\n".join(textwrap.wrap(PROSE, columns)) for _ in range(3))
    assert clean(wrapped, GENRES["stories"]) == "\n\n".join([PROSE] * 3)


def test_verse_and_headings_inside_wrapped_prose_keep_their_lines() -> None:
    wrapped = "\n".join(textwrap.wrap(PROSE, 70))
    text = f"CHAPTER I\nThe Fog\n\n{wrapped}\n\nThe tide went out.\nThe moon came in.\n\n{wrapped}\n"
    assert clean(text, GENRES["stories"]) == (
        f"CHAPTER I\nThe Fog\n\n{PROSE}\n\nThe tide went out.\nThe moon came in.\n\n{PROSE}"
    )


def test_paragraphs_of_one_line_each_are_left_apart() -> None:
    text = f"{PROSE}\n“No,” she said.\n{PROSE}\n“Then go.”\n{PROSE}"
    assert clean(text, GENRES["stories"]) == text


def test_a_hyphen_at_a_line_end_joins_without_a_blank() -> None:
    lines = ["x" * 60 + " well-", "known " + "y" * 60, "z" * 60 + " words", "more " + "w" * 60]
    assert "well-known" in unwrapped(lines)[0]


def test_poems_keep_line_breaks_indentation_and_stanzas() -> None:
    assert clean(f"\n\n{VERSE}   \n\n\n\n\nNobody asked it to.\n\n", GENRES["poetry"]) == (
        f"{VERSE}\n\n\nNobody asked it to."
    )


def test_a_margin_common_to_all_lines_goes() -> None:
    assert clean(textwrap.indent(VERSE, "      "), GENRES["poetry"]) == VERSE


def test_code_keeps_its_indentation_and_two_blank_lines() -> None:
    code = 'def rain():\n    if wet:\n        return "umbrella"\n\n\ndef sun():\n    return None'
    assert clean(code + "  \n\n\n", GENRES["code"]) == code


def test_stories_have_one_blank_line_at_most_and_no_runs_of_blanks() -> None:
    assert clean("  One  two.\t\n\n\n\n\tThree.", GENRES["stories"]) == "One two.\n\nThree."


def test_controls_go_and_every_newline_is_one() -> None:
    assert clean("a\x1b[31m\r\nb\rc\u2028d\x0ce\ufeff", GENRES["poetry"]) == "a[31m\nb\nc\nd\ne"


def test_end_marks_part_documents_and_are_never_text() -> None:
    assert split_documents("one<|endoftext|>\n<|startoftext|>two<|endoftext|>\n") == ["one", "two"]


LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            ["", " ", PROSE[:58], PROSE[:70], PROSE[100:172], "   indented " * 6, "short", PROSE]
        ),
    ),
    max_size=30,
)


@pytest.mark.parametrize("genre", list(GENRES))
@given(lines=LINES)
def test_cleaning_twice_is_cleaning_once(genre: str, lines: list[str]) -> None:
    once = clean("\n".join(lines), GENRES[genre])
    assert clean(once, GENRES[genre]) == once


@given(text=st.text())
def test_no_word_is_lost_from_a_poem(text: str) -> None:
    kept = clean(text, GENRES["poetry"])
    assert [c for c in kept if c.isalnum()] == [c for c in text if c.isalnum()]
