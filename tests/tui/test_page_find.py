"""Finding and replacing on the page."""

from __future__ import annotations

import pytest

from storyteller.errors import UserError
from storyteller.tui.editor.find import Query
from tests.stubs.page_app import assert_whole, open_page

TEXT = "The rain fell.\nNo rain now.\nRain again."


async def test_matches_are_walked_through_round_and_round() -> None:
    async with open_page(TEXT) as (page, _, _app):
        assert await page.find(Query("rain")) == 3
        assert (page.match_count, page.match_number) == (3, 0)
        seen = []
        for _ in range(4):
            assert await page.find_next()
            seen.append((page.match_number, page.cursor_location))
        assert seen == [(1, (0, 8)), (2, (1, 7)), (3, (2, 4)), (1, (0, 8))]
        await page.find_previous()
        assert page.match_number == 3
        assert page.selected_text == "Rain"
        assert await page.find(Query("snow")) == 0
        assert not await page.find_next()
        assert not await page.find_previous()


async def test_every_match_is_replaced_as_one_step() -> None:
    async with open_page(TEXT, caret=20) as (page, pilot, app):
        await page.find(Query("rain"))
        assert await page.replace_all("snow\nstorm") == 3
        text = TEXT.replace("rain", "snow\nstorm").replace("Rain", "snow\nstorm")
        assert page.exact_text == text
        assert page.match_count == 0
        assert_whole(page)
        page.undo()
        assert (page.exact_text, page.settled_cursor) == (TEXT, 20)
        page.redo()
        assert page.exact_text == text
        assert_whole(page)
        await pilot.pause()
        assert [edit.cause for edit in app.heard_of(page.Edited)] == ["replace", "undo", "redo"]


async def test_one_match_after_the_other_is_replaced_and_one_can_be_left_out() -> None:
    async with open_page(TEXT) as (page, _, _app):
        await page.find(Query(r"r(ai)n", regex=True))
        assert not await page.replace_match("x")  # none is selected yet
        await page.find_next()
        assert await page.replace_match(r"\1r")
        assert page.match_number == 1
        await page.find_next()
        assert await page.replace_match(r"<\1>")
        assert page.exact_text == "The air fell.\nNo rain now.\n<ai> again."


async def test_origins_around_the_replaced_words_stay() -> None:
    async with open_page("", caret=0) as (page, _, _app):
        page.open_offer("g", text="the rain and the rain", streaming=False)
        page.accept()
        await page.find(Query("rain"))
        await page.replace_all("sun")
        assert page.exact_text == "the sun and the sun"
        assert page.provenance.to_json() == "4a3m9a3m"
        page.undo()
        assert page.provenance.to_json() == "21a"


async def test_matches_follow_what_is_written_before_them() -> None:
    async with open_page(TEXT) as (page, pilot, _):
        await page.find(Query("rain"))
        await pilot.press("ctrl+home", "r", "a", "i", "n", "space")
        assert page.match_count == 3  # those lit stay lit
        await page.find_next()
        assert page.match_number == 2
        assert page.match_count == 4  # walking on looks again


async def test_a_search_leaves_an_open_offer_alone_and_a_replacement_does_not() -> None:
    async with open_page(TEXT, caret=3) as (page, _, _app):
        page.open_offer("g", text=" rain", streaming=False)
        assert await page.find(Query("rain")) == 3
        assert page.offer_open
        await page.replace_all("snow")
        assert page.offer is None
        assert page.exact_text == "The snow fell.\nNo snow now.\nsnow again."


async def test_a_wrong_pattern_changes_nothing() -> None:
    async with open_page(TEXT) as (page, _, _app):
        with pytest.raises(UserError):
            await page.find(Query("(", regex=True))
        await page.find(Query("(rain)", regex=True))
        with pytest.raises(UserError):
            await page.replace_all(r"\7")
        assert page.exact_text == TEXT


async def test_a_replacement_takes_the_manuscripts_line_ends() -> None:
    async with open_page("a b\r\nc b\r\n") as (page, _, _app):
        await page.find(Query(r" b$", regex=True))
        await page.replace_all("\n")
        assert page.exact_text == "a\r\n\r\nc\r\n\r\n"
        assert_whole(page)
