"""Texts as they are learned: what is taken off, what stays, and that cleaning twice changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.training.pretraining.cleaning import (
    cleaned,
    tidy,
    trimmed,
    without_contents,
    without_notices,
)

PARAGRAPH = "The keeper opened the door and looked out at the sea, and the light went round above him as it always had."
LINES = st.sampled_from(
    [PARAGRAPH, "", " ", "CONTENTS", "Table of Contents.", "CHAPTER I", "Chapter 2. The Sea", "XII. Home", "The Storm 14",
     "A short line", "“Who?” he said.", "*** START OF THE PROJECT GUTENBERG EBOOK X ***",
     "*** END OF THIS PROJECT GUTENBERG EBOOK X ***"]
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(LINES).map("\n".join))


@given(TEXTS)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    for clean in (tidy, without_notices, without_contents):
        once = clean(tidy(text))
        assert clean(once) == once


@given(TEXTS)
def test_a_tidy_text_has_nothing_odd_at_its_line_ends(text: str) -> None:
    said = tidy(text)
    assert said == said.strip()
    for odd in ("\r", " \n", "\t\n", "\n\n\n", "“", "’", "\u00a0", "\ufeff"):
        assert odd not in said


def test_quotes_become_straight() -> None:
    assert (
        tidy("“It’s ‘so’”,\u00a0she said.\u200b\r\n\r\n\r\n\r\nHe left. ")
        == "\"It's 'so'\", she said.\n\nHe left."
    )


def test_gutenberg_s_lines_go_with_what_is_outside_them() -> None:
    book = (
        "The Project Gutenberg EBook\n\n*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n\nEmma was\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK EMMA ***\n\nUpdated editions"
    )
    assert without_notices(book) == "Emma was"
    assert without_notices("A *** START of nothing") == "A *** START of nothing"


@pytest.mark.parametrize(
    "table",
    [
        "CONTENTS\n\nI. The House\nII. The Garden\n\nIII. The Sea",
        "Table of Contents\nThe House 1\nThe Garden 17\nThe Sea 203",
        "Contents.\nThe House\nThe Garden\nThe Sea",
        "CHAPTER I\nCHAPTER II\nCHAPTER III\n\nCHAPTER IV. The Sea",
    ],
)
def test_a_table_of_contents_goes(table: str) -> None:
    assert without_contents(f"{table}\n\n{PARAGRAPH}") == PARAGRAPH
    assert without_contents(f"{PARAGRAPH}\n\n{table}\n\n{PARAGRAPH}") == f"{PARAGRAPH}\n\n{PARAGRAPH}"


@pytest.mark.parametrize(
    "text",
    [
        f"CHAPTER I\n\n{PARAGRAPH}\n\nCHAPTER II\n\n{PARAGRAPH}",
        f"Book I\nCHAPTER I\n\n{PARAGRAPH}",
        "The contents of the drawer were these:\n\na key\na letter",
    ],
)
def test_headings_of_chapters_stay(text: str) -> None:
    assert without_contents(text) == text


def test_a_book_begins_at_a_paragraph_after_its_title_page() -> None:
    body = "\n\n".join([PARAGRAPH] * 50)
    book = f"THE KEEPER\n\nby Nobody\n\nLondon, 1890\n\n{body}\n\nTHE END"
    assert trimmed(book).startswith(PARAGRAPH)
    assert "THE END" not in trimmed(book)
    assert "London" not in trimmed(book)
    few = "A beginning without any blank line. " * 20 + "\n\nAnd an end."
    assert trimmed(few).startswith("A beginning")


def test_each_form_is_cleaned_as_it_is_read() -> None:
    verse = "Thou art mighty,\nBabylon!\nThou art haughty,\nBabylon!\nThy bats shall fly."
    assert cleaned(verse, " Babylon. ", "poem") == (f"Babylon.\n\n{verse}",) * 2
    assert cleaned("too short", "T", "poem") == ("", "")
    assert cleaned("long " * 2000, "T", "poem") == ("", "")
    assert cleaned("Snow fell.", "Snow", "prose")[0] == "Snow fell."  # it begins with its title
    code = "def f():\n\n\n    return “”\n" * 20
    assert cleaned(code + "\n\n", "", "code")[0] == code
    assert cleaned("import os\n", "", "code") == ("", "")


def test_a_lost_apostrophe_comes_back_and_what_lost_more_is_left_out() -> None:
    lost = "The lilac\ufffds bloom, ne\ufffder to fade"
    assert cleaned(lost, "", "prose") == ("The lilac's bloom, ne'er to fade", lost)
    for hopeless in ("A Hag\ufffd reared", "\ufffdTis he", "in \ufffd\ufffd1890"):
        assert cleaned(hopeless, "", "prose") == ("", "")
    assert cleaned("x = '\ufffd'\n" * 99, "", "code") == ("", "")


def test_which_side_a_book_is_on_is_told_before_its_contents_go() -> None:
    book = f"{PARAGRAPH}\n\nCONTENTS\nThe House\nThe Garden\n\n" + "\n\n".join([PARAGRAPH] * 3)
    text, opening = cleaned(book, "", "prose")
    assert "The Garden" not in text
    assert opening == book
