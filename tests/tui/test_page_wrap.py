"""Visual lines: where they break, and that following an edit gives what wrapping anew would."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from storyteller.manuscript.segments import next_cluster
from storyteller.text import editor_line
from storyteller.tui.editor.cells import column_at, is_double, is_single, shown, x_of
from storyteller.tui.editor.document import Document
from storyteller.tui.editor.navigator import Navigator
from storyteller.tui.editor.wrap import Wrap, wrap_row

PIECES = st.sampled_from(
    [
        "a",
        "word",
        " ",
        "  ",
        "\t",
        "—",
        "漢",
        "字。",
        "「",
        "e\u0301",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467",
        "\x1b",
        "\u202e",
        "’s ",
        "한",
        "longlongword",
    ]
)
LINES = st.lists(PIECES, max_size=25).map("".join)
TEXTS = st.lists(LINES, max_size=8).map("\n".join)
WIDTHS = st.sampled_from([0, 8, 9, 12, 20])


def parts(text: str, width: int, tab: int = 4) -> list[str]:
    edges = [0, *wrap_row(text, width, tab), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def tables(wrap: Wrap) -> tuple[list[list[int]], list[int], int]:
    rows = range(wrap.document.line_count)
    return [list(wrap.get_offsets(row)) for row in rows], [wrap.y_of(row) for row in rows], wrap.height


@given(LINES, st.sampled_from([8, 9, 12, 20]))
def test_every_line_fits_and_no_character_is_cut(text: str, width: int) -> None:
    lines = parts(text, width)
    assert "".join(lines) == text
    characters = {0}
    while max(characters) < len(text):
        characters.add(next_cluster(text, max(characters)))
    assert {0, *wrap_row(text, width, 4)} <= characters
    for line in lines:
        cells = x_of(line, len(line), 4)
        assert cells <= width or (cells == width + 1 and line.endswith(" "))
    assert all(lines[:-1])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two ", "three"]),
        ("onetwothree", ["onetwoth", "ree"]),
        ("one twothreefour", ["one ", "twothree", "four"]),
        ("12345678 9", ["12345678 ", "9"]),  # the space hangs in the caret's cell
        ("12345678 ", ["12345678 ", ""]),
        ("red—yellow", ["red—", "yellow"]),
        ("漢字漢字。漢", ["漢字漢", "字。漢"]),  # a full stop never begins a line
        ("漢字漢「字」", ["漢字漢", "「字」"]),  # an opening bracket never ends one
        ("e\u0301" * 9, ["e\u0301" * 8, "e\u0301"]),
        (
            "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 5,
            ["\U0001f469\u200d\U0001f469\u200d\U0001f467" * 4, "\U0001f469\u200d\U0001f469\u200d\U0001f467"],
        ),
        ("a\tb\tc", ["a\tb\t", "c"]),
        ("nbsp\u00a0space here", ["nbsp\u00a0spa", "ce here"]),
    ],
)
def test_where_lines_break(text: str, lines: list[str]) -> None:
    assert parts(text, 8) == lines


@settings(max_examples=300)
@given(TEXTS, WIDTHS, st.data())
def test_following_edits_gives_what_wrapping_anew_gives(text: str, width: int, data: st.DataObject) -> None:
    document = Document(text)
    wrap = Wrap(document, width)
    for _ in range(5):
        start = data.draw(st.integers(0, document.length))
        end = data.draw(st.integers(start, min(document.length, start + 20)))
        fresh = data.draw(st.one_of(PIECES, LINES, st.just(""), st.just("\n"), st.just("a\nb c\n")))
        wrap.follow(document.replace(start, end, fresh))
        assert tables(wrap) == tables(Wrap(document, width))


@given(TEXTS, WIDTHS, st.integers(0, 3))
def test_places_on_the_screen_and_in_the_text_agree(text: str, width: int, lead: int) -> None:
    document = Document(text)
    wrap = Wrap(document, width)
    wrap.lead = lead
    for row, line in enumerate(document.lines):
        column = 0
        while column < len(line):
            offset = wrap.location_to_offset((row, column))
            assert wrap.line_at(offset.y) == (row, wrap.part_of((row, column)))
            cluster = line[column : next_cluster(line, column)]
            if cell_len(editor_line(cluster)) or cluster == "\t":
                assert wrap.offset_to_location(offset) == (row, column)
            column = next_cluster(line, column)
    assert wrap.line_at(lead - 1) is None
    assert wrap.line_at(wrap.height) is None


@given(TEXTS, WIDTHS)
def test_walking_over_the_page_meets_every_place(text: str, width: int) -> None:
    document = Document(text)
    wrap = Wrap(document, width)
    navigator = Navigator(wrap)
    place = (0, 0)
    while (following := navigator.get_location_right(place)) != place:
        assert navigator.get_location_left(following) == place
        assert navigator.get_location_home(place) <= place
        place = following
    assert place == document.end
    navigator.last_x_offset = 0
    place = (0, 0)
    for _ in range(wrap.height):
        place = navigator.get_location_below(place)
    assert place == document.end
    for _ in range(wrap.height):
        place = navigator.get_location_above(place)
    assert place == (0, 0)


def test_a_key_far_into_a_huge_line_rewraps_only_a_few_visual_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    import storyteller.tui.editor.wrap as module

    document = Document("word " * 200_000)
    wrap = Wrap(document, 70)
    asked: list[int] = []
    real = module.next_break

    def counted(text: str, start: int, width: int, tab: int) -> int | None:
        asked.append(start)
        return real(text, start, width, tab)

    monkeypatch.setattr(module, "next_break", counted)
    wrap.follow(document.replace(500_000, 500_000, "x"))
    assert len(asked) < 40
    assert tables(wrap) == tables(Wrap(document, 70))


def test_what_counts_as_one_cell_takes_one_and_what_counts_as_two_takes_two() -> None:
    singles = doubles = 0
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if is_single(character) and character not in "\n\r":
            assert cell_len(editor_line(character)) == 1, hex(code)
            singles += 1
        elif is_double(character):
            assert cell_len(editor_line(character)) == 2, hex(code)
            assert next_cluster("漢" + character, 0) == 1
            doubles += 1
    assert (singles > 900, doubles > 25_000) == (True, True)


@given(LINES)
def test_columns_and_cells_are_each_others_inverse(text: str) -> None:
    column = 0
    while column < len(text):
        following = next_cluster(text, column)
        if x_of(text, following, 4) > x_of(text, column, 4):
            assert column_at(text, x_of(text, column, 4), 4) == column
        column = following
    assert cell_len(shown(text, 0, 4)) == x_of(text, len(text), 4)
    assert not any(ord(character) < 32 or character == "\u202e" for character in shown(text, 0, 4))
