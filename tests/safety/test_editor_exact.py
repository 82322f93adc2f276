"""The page gives back exactly what it was given, whatever that is, and shows none of it raw."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest
from textual.events import Paste, Resize
from textual.geometry import Size

from storyteller.tui.editor.page import Page
from tests.stubs.page_app import assert_whole, open_page, painted

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from storyteller.manuscript.offer import Offer

CORPUS = {
    "crlf": "one\r\ntwo\r\n",
    "cr": "one\rtwo\r",
    "mixed line ends": "one\r\ntwo\nthree\rfour\r\r\n\n\r",
    "no line end at the end": "one\ntwo",
    "only line ends": "\n\n\r\n\r",
    "empty": "",
    "byte order mark": "\ufeffone\n",
    "what splitlines splits": "a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i\n",
    "nul and escapes": "a\x00b\x1b[2J\x1b]52;c;AAAA\x07\x9b31m\x7f\x08\n",
    "lone surrogates": "a\udcffb\ud800\n",
    "combining and joined": "e\u0301 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1f8\U0001f1ea \u0301\n",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202eabc\u202c \u2066x\u2069\n",
    "cjk and tabs": "漢字\tかな\t한글。\n",
    "spaces": "  \n\t\n \xa0 \u3000\n   ",
}
# Nothing that moves the cursor, switches a mode or turns the reading order may be painted.
RAW = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


async def look_around(page: Page, pilot: Pilot[None]) -> None:
    """All that a reader does without writing."""
    await pilot.press("ctrl+end", "up", "pageup", "home", "shift+down", "ctrl+home", "right", "ctrl+right")
    await pilot.resize_terminal(31, 9)
    page.origins = page.typewriter = page.spotlight = True
    await pilot.pause()


@pytest.mark.parametrize("name", CORPUS)
async def test_what_was_opened_is_what_is_saved(name: str) -> None:  # safety 24
    """safety 24: opened, read, offered something, never edited: the same text to the last character."""
    text = CORPUS[name]
    async with open_page(text) as (page, pilot, app):
        assert page.exact_text == text
        await look_around(page, pilot)
        for caret in range(len(text) + 1):
            page.place_caret(caret)
            offer = page.open_offer("g", text=" She\nleft")
            page.feed(offer, "\n")
            assert page.exact_text == text
            page.reject()
        assert page.exact_text == page.document.text == text
        assert not app.heard_of(Page.Edited)
        assert_whole(page)


@pytest.mark.parametrize("name", CORPUS)
async def test_an_edit_changes_nothing_but_what_was_edited(name: str) -> None:  # safety 24
    """safety 24: a letter and its undoing at every place leave the rest as it was."""
    text = CORPUS[name]
    async with open_page(text) as (page, _, _app):
        for place in range(len(text) + 1):
            page.write(place, place, "x")
            assert page.exact_text == text[:place] + "x" + text[place:]
            page.undo()
            assert page.exact_text == text
        assert_whole(page)


@pytest.mark.parametrize(
    "text",
    ["word and word " * 750_000, "x" * 10_000_000, "漢" * 500_000, "a\n" * 1_000_000],
    ids=[
        "10 MB of words on one line",
        "10 MB without a space",
        "half a million characters of Han",
        "a million lines",
    ],
)
async def test_a_huge_text_opens_edits_and_comes_back(text: str) -> None:  # safety 24
    """safety 24: 10 MB on one line, a million lines: opened, moved about in, edited, undone."""
    async with open_page(text, size=(80, 24)) as (page, pilot, _):
        await pilot.press("ctrl+end", "x", "up", "end", "pageup", "backspace", "enter", "ctrl+home", "delete")
        offer = page.open_offer("g", text=" and")
        page.feed(offer, " on\n")
        assert painted(page)[0]
        for _ in range(4):
            page.undo()
        assert page.exact_text == text


@pytest.mark.parametrize("name", CORPUS)
async def test_nothing_raw_is_painted(name: str) -> None:  # safety 44
    """safety 44: the manuscript's control characters, and those an offer brings, are pictures or nothing."""
    text = CORPUS[name]
    async with open_page(text, size=(40, 12)) as (page, _, _app):
        offer = page.open_offer("g", text=text)
        page.feed(offer, "\x1b]0;title\x07\x1b")
        page.feed(offer, "[31m\u202e\x00[/red]\n")
        for row in painted(page):
            assert not RAW.search(row)
        assert not RAW.search(offer.text.replace("\n", "").replace("\t", "").replace("\u200e", ""))
        for index, line in enumerate(page.document.lines):
            assert not RAW.search(page.get_line(index).plain.replace("\t", ""))
            assert len(page.get_line(index)) == len(line)
        if text:
            assert "[/red]" in "".join(painted(page))


async def test_nothing_raw_is_taken_into_the_text() -> None:  # safety 44
    """safety 44: what a model says in control characters never becomes the manuscript's."""
    async with open_page("Ada", caret=3) as (page, pilot, _):
        offer = page.open_offer("g")
        for chunk in [" \x1b", "[2J\x07", "a\r", "\nb\x9b", "\u202ec", "\x00"]:
            page.feed(offer, chunk)
        await pilot.press("tab")
        assert page.exact_text == "Ada [2Ja\nbc"


async def test_a_paste_of_five_megabytes() -> None:  # safety 31
    """safety 31: the paste is one step, and undoing it leaves nothing."""
    line = "She read it twice. Then she put on her coat — “never”, she said, and walked out.\n"
    pasted = line * (5_000_000 // len(line))
    async with open_page("before after", caret=7) as (page, pilot, _):
        paste(page, pasted)
        await pilot.pause()
        assert page.exact_text == "before " + pasted + "after"
        assert page.words == 2 + 16 * (len(pasted) // len(line))
        assert_whole(page)
        await pilot.press("ctrl+z")
        assert page.exact_text == "before after"


def paste(page: Page, text: str) -> None:
    page.post_message(Paste(text))


async def test_a_paste_with_terminal_sequences_is_plain_text() -> None:  # safety 31
    """safety 31: ESC[201~ within a paste, and whatever else a terminal would obey."""
    async with open_page("") as (page, pilot, _):
        paste(page, "one\x1b[201~two\x1b]52;c;AA\x07\x00\u202e\x9b three\x0bfour\r\nfive")
        await pilot.pause()
        assert page.exact_text == "one[201~two]52;c;AA three\nfour\nfive"


async def test_a_hundred_sizes_while_an_offer_streams() -> None:  # safety 30
    """safety 30: 1x1, 0x0, 500x200 and all between, in bursts, while text comes and is taken."""
    numbers = random.Random(30)
    text = "\n".join("word " * 40 for _ in range(30))
    async with open_page(text, caret=len(text) // 2) as (page, pilot, app):
        page.column = 72
        offer = page.open_offer("g")
        sizes = [(1, 1), (0, 0), (500, 200), (2, 1), (1, 50), (9, 2)]
        sizes += [(numbers.randint(0, 160), numbers.randint(0, 60)) for _ in range(94)]
        for turn, (width, height) in enumerate(sizes):
            page.feed(offer, f" word{turn}\n漢")
            if turn < 6 or turn % 10 == 9:
                await pilot.resize_terminal(width, height)
                page.accept("word")
                page.typewriter = not page.typewriter
                painted(page)
                assert_whole(page)
            else:
                app.post_message(Resize(Size(width, height), Size(width, height)))
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert page.wrapped_document.width == page.wrap_width == 58
        assert page.exact_text.startswith(text[: len(text) // 2])
        assert any(painted(page))


async def test_a_hundred_offers_in_a_row_leave_no_stale_text() -> None:  # safety 39
    """safety 39: takes accepted, refused and replaced at once; what comes late for them goes nowhere."""
    numbers = random.Random(39)
    async with open_page("Ada") as (page, pilot, _):
        past: list[Offer] = []
        kept = "Ada"
        page.place_caret(3)
        for turn in range(100):
            offer = page.open_offer("g", turn, text=f" kept{turn}")
            for old in past:
                assert not page.feed(old, " stale")
                assert not page.rewind(old, 3)
                assert not page.finish(old, " stale")
            choice = numbers.choice(["accept", "reject", "type", "leave"])
            if choice == "accept":
                page.accept()
                kept += f" kept{turn}"
            elif choice == "reject":
                page.reject()
            elif choice == "type":
                await pilot.press("!")
                kept += "!"
            past.append(offer)
        page.dismiss_offer()
        assert page.exact_text == page.document.text == kept
