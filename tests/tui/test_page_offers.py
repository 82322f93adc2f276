"""What a writer can do with an offer, by the keys, and what the app hears of it."""

from __future__ import annotations

from storyteller.manuscript.offer import Piece
from storyteller.tui.editor.page import Page
from tests.stubs.page_app import assert_whole, open_page

OFFER = " She left. Nobody saw.\nThe rain went on."


def provisional(page: Page) -> str:
    return page._provisional.text


async def test_tab_asks_where_nothing_is_offered_and_keeps_the_offer_where_something_is() -> None:
    async with open_page("Ada woke.", caret=9) as (page, pilot, app):
        await pilot.press("tab")
        assert len(app.heard_of(Page.ContinueRequested)) == 1
        offer = page.open_offer("g")
        assert page.offer_open
        await pilot.press("tab")  # on its way: neither a second request nor a tab in the text
        assert len(app.heard_of(Page.ContinueRequested)) == 1
        page.feed(offer, OFFER)
        assert provisional(page) == OFFER
        assert page.exact_text == "Ada woke."
        await pilot.press("tab")
        assert page.exact_text == "Ada woke." + OFFER
        assert page.settled_cursor == len(page.exact_text)
        assert app.screen.focused is page
        taken = app.heard_of(Page.OfferTaken)
        assert [(message.offer, message.piece, message.offset) for message in taken] == [
            (offer, Piece(0, OFFER, "all"), 9)
        ]


async def test_words_sentences_and_lines_are_kept_by_their_keys() -> None:
    async with open_page("Ada. End", caret=4) as (page, pilot, app):
        page.open_offer("g", text=OFFER, streaming=False)
        await pilot.press("ctrl+right")
        assert (page.exact_text, page.settled_cursor) == ("Ada. She End", 8)
        await pilot.press("ctrl+down")
        assert page.exact_text == "Ada. She left. End"
        await pilot.press("end")
        assert page.exact_text == "Ada. She left. Nobody saw. End"
        assert provisional(page) == "\nThe rain went on."
        assert [message.piece.kind for message in app.heard_of(Page.OfferTaken)] == [
            "word",
            "sentence",
            "line",
        ]
        assert_whole(page)


async def test_the_same_keys_move_the_caret_where_nothing_is_offered() -> None:
    async with open_page("one two\nthree", caret=0) as (page, pilot, _):
        await pilot.press("ctrl+right")
        assert page.settled_cursor == 4
        await pilot.press("ctrl+left")
        assert page.settled_cursor == 0
        await pilot.press("end")
        assert page.settled_cursor == 7
        # Nor do they keep anything while the caret is elsewhere.
        page.open_offer("g", text=OFFER, streaming=False)
        await pilot.press("home", "ctrl+right")
        assert (page.exact_text, page.settled_cursor) == ("one two\nthree", 4)


async def test_a_piece_is_given_back_right_after_it_was_kept_and_not_later() -> None:
    async with open_page("Ada.", caret=4) as (page, pilot, app):
        offer = page.open_offer("g", text=OFFER, streaming=False)
        await pilot.press("ctrl+right", "ctrl+right", "ctrl+left")
        assert (page.exact_text, page.settled_cursor) == ("Ada. She", 8)
        assert provisional(page) == OFFER[4:]
        assert app.heard_of(Page.OfferGivenBack)[0].piece == Piece(4, " left.", "word")
        await pilot.press("ctrl+left")
        assert (page.exact_text, provisional(page)) == ("Ada.", OFFER)
        await pilot.press("tab")
        assert not page.offer_open
        await pilot.press("ctrl+left")  # also when nothing is left on offer
        assert (page.exact_text, provisional(page), page.offer) == ("Ada.", OFFER, offer)
        await pilot.press("ctrl+right", "left", "ctrl+left")
        assert page.exact_text == "Ada. She"
        assert page.settled_cursor == 5
        assert_whole(page)


async def test_an_accepted_offer_is_one_step_of_the_history() -> None:
    async with open_page("", caret=0) as (page, pilot, app):
        await pilot.press("A", "d", "a")
        offer = page.open_offer("g")
        for token in [" She", " left", ".", "\n", "Rain", "."]:
            page.feed(offer, token)
        await pilot.press("tab", "ctrl+z")
        assert page.exact_text == "Ada"
        assert app.heard_of(Page.AcceptUndone)[0].piece == Piece(0, " She left.\nRain.", "all")
        await pilot.press("ctrl+z")
        assert page.exact_text == ""
        await pilot.press("ctrl+y", "ctrl+y")
        assert page.exact_text == "Ada She left.\nRain."
        assert page.provenance.to_json() == "3m16a"
        assert_whole(page)


async def test_typing_what_is_offered_consumes_it_and_is_the_writers_own() -> None:
    async with open_page("Ada", caret=3) as (page, pilot, app):
        page.open_offer("g", text=" She\nleft", streaming=False)
        await pilot.press("space", "S", "h", "e", "enter")
        assert (page.exact_text, provisional(page)) == ("Ada She\n", "left")
        assert page.provenance.to_json() == "8m"
        assert {message.piece.kind for message in app.heard_of(Page.OfferTaken)} == {"typed"}
        assert not app.heard_of(Page.OfferDismissed)
        await pilot.press("X")
        assert (page.exact_text, provisional(page)) == ("Ada She\nX", "")
        dismissed = app.heard_of(Page.OfferDismissed)
        assert [(message.text, message.typed) for message in dismissed] == [("left", "X")]
        await pilot.press("ctrl+z", "ctrl+z", "ctrl+z")
        assert page.exact_text == "Ada"
        assert_whole(page)


async def test_refusing_takes_away_what_is_provisional_and_nothing_else() -> None:
    async with open_page("Ada. End", caret=4) as (page, pilot, app):
        page.open_offer("g", text=OFFER, streaming=False)
        await pilot.press("ctrl+right", "escape")
        assert len(app.heard_of(Page.EscapePressed)) == 1
        assert page.reject()
        assert page.document.text == page.exact_text == "Ada. She End"
        await pilot.pause()
        assert app.heard_of(Page.OfferRejected)[0].text == OFFER[4:]
        assert not page.reject()
        assert not app.heard_of(Page.OfferDismissed)
        await pilot.press("ctrl+z")
        assert page.exact_text == "Ada. End"


async def test_every_edit_lets_go_of_the_offer_first_and_then_does_what_it_says() -> None:
    for key, text in [
        ("backspace", "Ad End"),
        ("delete", "AdaEnd"),
        ("ctrl+w", " End"),
        ("ctrl+k", "Ada"),
        ("ctrl+u", " End"),
        ("ctrl+shift+k", ""),
        ("x", "Adax End"),
        ("enter", "Ada\n End"),
    ]:
        async with open_page("Ada End", caret=3) as (page, pilot, app):
            page.open_offer("g", text=OFFER, streaming=False)
            await pilot.press(key)
            assert page.exact_text == page.document.text == text, key
            assert len(app.heard_of(Page.OfferDismissed)) == 1, key
            assert_whole(page)
            await pilot.press("ctrl+z")
            assert page.exact_text == "Ada End", key


async def test_the_caret_can_look_around_an_offer_but_not_into_it() -> None:
    async with open_page("one\ntwo", caret=3) as (page, pilot, _):
        page.open_offer("g", text=" a\nb\nc ", streaming=False)
        await pilot.press("right")
        assert page.cursor_location == (2, 2)  # behind what is provisional
        await pilot.press("right")
        assert page.settled_cursor == 4
        await pilot.press("left", "left")
        assert page.cursor_location == (0, 3)
        await pilot.press("up", "down")
        assert page.offer_open
        await pilot.press("ctrl+end", "tab")
        assert (page.exact_text, page.settled_cursor) == ("one a\nb\nc \ntwo", 10)
        await pilot.press("ctrl+z")
        assert (page.exact_text, page.settled_cursor) == ("one\ntwo", 7)


async def test_the_final_text_and_a_rewind_correct_what_is_shown() -> None:
    async with open_page("Ada", caret=3) as (page, pilot, _):
        offer = page.open_offer("g", text=" She left. Nobody sa")
        assert page.rewind(offer, 10)
        assert provisional(page) == " She left."
        page.accept("word")
        assert page.finish(offer, " She went.")
        assert (page.exact_text, provisional(page), page.offer_open) == ("Ada She", " went.", True)
        page.finish(offer, " He stayed.")
        assert offer.astray
        assert (page.exact_text, provisional(page), page.offer_open) == ("Ada She", "", False)
        await pilot.pause()
        assert_whole(page)


async def test_a_caret_in_the_offer_takes_what_is_before_it_as_one_step() -> None:
    async with open_page("Ada", caret=3) as (page, _, _):
        page.open_offer("g", text=" She left. Nobody saw.", streaming=False)
        piece = page.accept_first(10)
        assert (piece.text if piece else None, page.exact_text) == (" She left.", "Ada She left.")
        assert provisional(page) == " Nobody saw."
        assert [(span.start, span.end, span.origin) for span in page.provenance.spans(0, 99)] == [
            (3, 13, "accepted")
        ]
        page.undo()
        assert page.exact_text == "Ada"


async def test_a_hidden_offer_is_fed_and_comes_back_unless_the_writer_wrote_on() -> None:
    async with open_page("Ada", caret=3) as (page, pilot, app):
        offer = page.open_offer("g", text=" She")
        assert page.hide_offer()
        assert page.feed(offer, " left")
        assert page.document.text == "Ada"
        assert not page.offer_open
        assert page.show_offer()
        assert provisional(page) == " She left"
        page.hide_offer()
        await pilot.press("!")
        assert not page.show_offer()
        assert not page.feed(offer, " more")
        assert page.document.text == "Ada!"
        assert not app.heard_of(Page.OfferDismissed)


async def test_another_take_replaces_the_one_on_show() -> None:
    async with open_page("Ada", caret=3) as (page, pilot, app):
        first = page.open_offer("g", 0, text=" She left.")
        await pilot.press("ctrl+right", "ctrl+r")
        assert len(app.heard_of(Page.AnotherRequested)) == 1
        second = page.open_offer("g", 1, text=" slept.", streaming=False)
        assert (page.exact_text, provisional(page), page.offer) == ("Ada She", " slept.", second)
        assert not page.feed(first, " Late.")
        assert provisional(page) == " slept."
        await pilot.pause()
        assert not app.heard_of(Page.OfferDismissed)


async def test_in_a_manuscript_with_other_line_ends_an_offer_gets_them() -> None:
    async with open_page("one\r\ntwo", caret=3) as (page, pilot, app):
        offer = page.open_offer("g", text="\nShe\nleft")
        page.rewind(offer, 4)
        page.feed(offer, "went")
        await pilot.press("enter", "ctrl+right", "ctrl+right")
        assert page.exact_text == "one\r\nShe\r\nwent\r\ntwo"
        assert app.heard_of(Page.OfferTaken)[-1].piece == Piece(4, "\nwent", "word")
        assert page.provenance.to_json() == "5m9a5m"
        await pilot.press("ctrl+left")
        assert page.exact_text == "one\r\nShe\r\ntwo"
        assert_whole(page)


async def test_nothing_is_kept_on_a_page_that_is_only_read() -> None:
    async with open_page("Ada", caret=3) as (page, pilot, app):
        page.open_offer("g", text=" left", streaming=False)
        page.read_only = True
        await pilot.press("ctrl+right", "x", "backspace")
        assert page.accept() is None
        assert page.exact_text == "Ada"
        assert not app.heard_of(Page.Edited)


async def test_what_the_page_says_of_an_edit_is_what_happened() -> None:
    async with open_page("Ada woke.", caret=3) as (page, pilot, app):
        page.open_offer("g", text=" Lamb", streaming=False)
        await pilot.press("ctrl+right", "backspace", "ctrl+z", "ctrl+z")
        edits = [
            (edit.start, edit.removed, edit.added, edit.origin, edit.cause)
            for edit in app.heard_of(Page.Edited)
        ]
        assert edits == [
            (3, 0, 5, "accepted", "accept"),
            (7, 1, 0, "mine", "write"),
            (7, 0, 1, "mine", "undo"),
            (3, 5, 0, "mine", "undo"),
        ]
        assert app.heard_of(Page.CaretMoved)[-1].offset == 3


async def test_what_grows_below_the_window_is_followed_while_the_caret_stays_in_sight() -> None:
    async with open_page("\n" * 18, caret=18, size=(40, 12)) as (page, _, _app):
        offer = page.open_offer("g")
        for number in range(30):
            page.feed(offer, f"\nline {number}")
        top, height = page.scroll_offset.y, page.size.height
        caret = page.wrapped_document.y_of(page.cursor_location[0])
        assert top <= caret < top + height
        assert caret == top  # as far as it goes
