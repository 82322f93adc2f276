"""Writing, deleting, undoing, the clipboard and the mouse, in any script."""

from __future__ import annotations

import pytest
from textual.events import Key, Paste

from storyteller.manuscript.provenance import Provenance
from storyteller.tui.editor.page import Page
from tests.stubs.page_app import assert_whole, open_page

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


async def test_typing_is_one_step_until_the_writer_pauses_moves_or_breaks_the_line() -> None:
    async with open_page() as (page, pilot, _):
        await pilot.press("o", "n", "e", "enter", "t", "w", "o", "left", "x", "backspace", "backspace")
        texts = [page.exact_text]
        for _ in range(6):
            await pilot.press("ctrl+z")
            texts.append(page.exact_text)
        assert texts == ["one\nto", "one\ntwxo", "one\ntwo", "one\n", "one", "", ""]
        for _ in range(5):
            await pilot.press("ctrl+y")
        assert page.exact_text == "one\nto"
        assert_whole(page)


@pytest.mark.parametrize(
    "character",
    [
        "\u3000",
        "\u00a0",
        "\u202f",
        "\u200c",
        "\u200d",
        "\ufe0f",
        "\U0001fae8",
    ],  # the last is newer than this Python
)
async def test_every_letter_is_written_also_one_without_ink(character: str) -> None:
    async with open_page("a") as (page, pilot, app):
        await pilot.press("end")
        app.post_message(Key("letter", character))
        await pilot.press("b")
        assert page.exact_text == f"a{character}b"
        page.read_only = True
        app.post_message(Key("letter", character))
        await pilot.pause()
        assert page.exact_text == f"a{character}b"


@pytest.mark.parametrize(
    "key", [Key("control", "\x02"), Key("f24", None), Key("lone", "\ud83d"), Key("line", "\u2028")]
)
async def test_what_is_no_letter_writes_nothing(key: Key) -> None:
    async with open_page("a") as (page, pilot, app):
        app.post_message(key)
        await pilot.pause()
        assert page.exact_text == "a"


async def test_a_pause_ends_a_step() -> None:
    async with open_page() as (page, pilot, _):
        now = [0.0]
        page._steps.clock = lambda: now[0]
        await pilot.press("a", "b")
        now[0] = 5.0
        await pilot.press("c", "ctrl+z")
        assert page.exact_text == "ab"


@pytest.mark.parametrize("cluster", [FAMILY, "e\u0301", "\U0001f1f8\U0001f1ea", "한", "漢", "\x1b", "\ud800"])
async def test_a_character_is_passed_and_deleted_whole(cluster: str) -> None:
    async with open_page(f"a{cluster}b", caret=1) as (page, pilot, _):
        await pilot.press("right")
        assert page.settled_cursor == 1 + len(cluster)
        assert page.position == (1, 3)
        await pilot.press("left")
        assert page.settled_cursor == 1
        await pilot.press("delete")
        assert page.exact_text == "ab"
        await pilot.press("ctrl+z")
        assert page.exact_text == f"a{cluster}b"
        await pilot.press("right", "backspace")
        assert page.exact_text == "ab"
        assert_whole(page)


@pytest.mark.parametrize(
    "sign", ["\u2764\ufe0f", "\u26a0\ufe0f", "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f468"]
)
async def test_a_sign_of_several_code_points_is_no_word_and_a_half(sign: str) -> None:
    async with open_page(f"I {sign} you", caret=2) as (page, pilot, _):
        await pilot.press("ctrl+right")
        assert page.settled_cursor == len(f"I {sign} ")
        await pilot.press("ctrl+left", "ctrl+delete")
        assert page.exact_text == "I  you"


async def test_words_are_deleted_to_either_side() -> None:
    async with open_page("one two  three", caret=8) as (page, pilot, _):
        await pilot.press("ctrl+delete")
        assert page.exact_text == "one two "
        await pilot.press("ctrl+z", "ctrl+w")
        assert page.exact_text == "one  three"


async def test_to_the_ends_of_the_line_on_the_screen() -> None:
    async with open_page("word " * 12, caret=0, size=(30, 10)) as (page, pilot, _):
        await pilot.press("down", "right", "right", "ctrl+k")
        assert page.exact_text == "word " * 5 + "wo" + "word " * 2
        await pilot.press("ctrl+u")
        assert page.exact_text == "word " * 7
        await pilot.press("ctrl+end", "ctrl+k")
        assert page.exact_text == "word " * 7
        await pilot.press("enter", "up", "end", "ctrl+k")
        assert page.exact_text == "word " * 7


async def test_cut_copy_and_paste_are_exact() -> None:
    text = "a\x0cb\r\nc\u2028d"
    async with open_page(text, caret=1) as (page, pilot, app):
        await pilot.press("ctrl+a", "ctrl+c")
        assert app.clipboard == text
        await pilot.press("ctrl+x")
        assert (page.exact_text, app.clipboard) == ("", text)
        await pilot.press("ctrl+v", "ctrl+v")
        assert page.exact_text == text * 2
        await pilot.press("ctrl+z", "ctrl+z", "ctrl+z")
        assert page.exact_text == text


async def test_cut_without_a_selection_takes_the_line() -> None:
    async with open_page("one\ntwo\nthree", caret=5) as (page, pilot, app):
        await pilot.press("ctrl+x")
        assert (page.exact_text, app.clipboard) == ("one\nthree", "two\n")


async def test_copying_bytes_that_are_no_text_does_not_fail() -> None:
    async with open_page("a\udcffb") as (_, pilot, app):
        await pilot.press("ctrl+a", "ctrl+c")
        assert app.clipboard == "a?b"


async def test_a_paste_takes_the_line_ends_of_the_manuscript() -> None:
    async with open_page("one\r\n", caret=5) as (page, _, _app):
        await page._on_paste(Paste("two\rthree\nfour\r\nfive\u2028six"))
        assert page.exact_text == "one\r\ntwo\r\nthree\r\nfour\r\nfive\r\nsix"
        page.undo()
        assert page.exact_text == "one\r\n"


async def test_typing_replaces_the_selection_and_undo_brings_it_back() -> None:
    async with open_page("one two three", caret=4) as (page, pilot, _):
        await pilot.press("ctrl+shift+right", "x")
        assert page.exact_text == "one xthree"
        await pilot.press("ctrl+z")
        assert page.exact_text == "one two three"
        assert page.selected_text == "two "


async def test_text_areas_own_edits_come_down_to_the_same_history() -> None:
    async with open_page("one three", caret=9) as (page, _, app):
        page.insert("two ", (0, 4))
        assert (page.exact_text, page.settled_cursor) == ("one two three", 13)
        page.replace("2", (0, 4), (0, 7), maintain_selection_offset=False)
        assert (page.exact_text, page.settled_cursor) == ("one 2 three", 5)
        page.clear()
        assert page.exact_text == ""
        for _ in range(3):
            page.undo()
        assert page.exact_text == "one three"
        assert_whole(page)
        assert app.screen.focused is page


async def test_a_word_the_writer_changes_in_accepted_text_is_edited_and_undo_restores_it() -> None:
    provenance = Provenance()
    provenance.put(0, 0, [(13, "accepted")])
    async with open_page("the rain fell") as (page, pilot, _):
        page.load("the rain fell", provenance=provenance, caret=8)
        await pilot.press("s", "!", "ctrl+left", "ctrl+left", "c", "o", "l", "d", "space")
        assert page.exact_text == "the cold rains! fell"
        assert page.provenance.to_json() == "4a4e1m5e1m5a"
        while page._steps.last is not None:
            page.undo()
        assert page.provenance.to_json() == "13a"


async def test_the_end_of_the_text_and_a_line_by_number() -> None:
    async with open_page("one\ntwo\nthree") as (page, pilot, _):
        await pilot.press("ctrl+end")
        assert page.position == (3, 6)
        page.go_to_line(2)
        assert page.position == (2, 1)
        page.go_to_line(99)
        assert page.position == (3, 1)
        page.go_to_line(-1)
        assert page.position == (1, 1)
        await pilot.press("ctrl+shift+end")
        assert page.selected_text == "one\ntwo\nthree"


async def test_clicks_place_the_caret_and_select_words_and_lines() -> None:
    async with open_page("one two\n漢字 three") as (page, pilot, _):
        left = page.gutter_width
        await pilot.click(page, offset=(left + 3, 1))
        assert page.cursor_location == (1, 1)  # cells 2 and 3 are the second character
        await pilot.click(page, offset=(left + 5, 0), times=2)
        assert page.selected_text == "two"
        await pilot.click(page, offset=(left + 5, 1), times=3)
        assert page.selected_text == "漢字 three"
        await pilot.click(page, offset=(left + 50, 10))
        assert page.cursor_location == (1, 8)


async def test_what_stands_around_the_caret() -> None:
    async with open_page("one two three", caret=7) as (page, _, _app):
        page.open_offer("g", text=" and", streaming=False)
        assert (page.text_before(3), page.text_before(100)) == ("two", "one two")
        assert page.settled_slice(5, 9) == "wo t"
        assert page.settled_length == 13


async def test_every_key_of_the_page_can_be_changed_by_its_id() -> None:
    ids = [binding.id for binding in Page.BINDINGS if not isinstance(binding, tuple)]
    assert len(set(ids)) == len(ids) == len(Page.BINDINGS)
    assert all(name and name.startswith("page.") for name in ids)
    async with open_page("Ada", caret=3) as (page, pilot, app):
        app.set_keymap({"page.accept-word": "f9", "page.continue": "ctrl+n,f10"})
        page.open_offer("g", text=" left", streaming=False)
        await pilot.press("f9")
        assert page.exact_text == "Ada left"
        await pilot.press("f10")
        assert len(app.heard_of(Page.ContinueRequested)) == 1


async def test_no_key_needs_alt_alone() -> None:
    for binding in Page.BINDINGS:
        assert not isinstance(binding, tuple)
        assert any("alt+" not in key for key in binding.key.split(","))


async def test_text_can_be_written_to_the_letter() -> None:
    async with open_page("a\r\nb\r\n") as (page, _, _app):
        page.write(0, page.settled_length, "c\nd\r", exact=True)
        assert page.exact_text == "c\nd\r"
        page.undo()
        assert page.exact_text == "a\r\nb\r\n"


async def test_cut_on_an_empty_last_row_leaves_the_clipboard_alone() -> None:
    async with open_page("one\n", caret=4) as (page, pilot, app):
        app.copy_to_clipboard("kept")
        await pilot.press("ctrl+x")
        assert (page.exact_text, app.clipboard) == ("one\n", "kept")
