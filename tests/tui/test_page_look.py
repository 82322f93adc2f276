"""What is painted: colours by origin, margins, typewriter scrolling, the lit paragraph, matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from textual.document._document import Selection

from storyteller.manuscript.provenance import Provenance
from storyteller.tui.editor.find import Query
from storyteller.tui.editor.paragraph import paragraph_rows
from tests.stubs.page_app import assert_whole, open_page, painted

if TYPE_CHECKING:
    from rich.style import Style

    from storyteller.manuscript.offer import Kind
    from storyteller.tui.editor.page import Page


def styles(page: Page, y: int = 0) -> list[tuple[str, Style]]:
    """The painted pieces of a visual line that show something, each with its style."""
    page.render_lines(page.size.region)
    pieces = [(segment.text, segment.style) for segment in page.render_line(y)]
    return [(text, style) for text, style in pieces if style is not None and text.strip()]


def style_of(page: Page, text: str, y: int = 0) -> Style:
    for piece, style in styles(page, y):
        if text in piece:
            return style
    raise AssertionError((text, styles(page, y)))


async def test_what_is_provisional_is_told_apart_without_colour() -> None:
    async with open_page("Ada woke.", caret=3) as (page, pilot, _):
        page.cursor_blink = False
        page.open_offer("g", text=" Lamb", streaming=False)
        await pilot.press("home")
        provisional, settled = style_of(page, "Lamb"), style_of(page, "woke")
        assert provisional.italic
        assert provisional.dim
        assert not settled.italic
        page.reject()
        assert not any(style.italic for _, style in styles(page))


async def test_colours_say_who_wrote_what_if_asked() -> None:
    provenance = Provenance()
    provenance.put(0, 0, [(4, "mine"), (4, "accepted"), (4, "edited")])
    async with open_page() as (page, pilot, _):
        page.load("AAAABBBBCCCC", provenance=provenance)
        page.blur()
        await pilot.pause()
        assert len(styles(page)) == 1
        page.origins = True
        page.open_offer("g", text="DDDD", streaming=False)
        mine, accepted, edited, provisional = (style_of(page, letter * 3) for letter in "ABCD")
        assert len({mine, accepted, edited, provisional}) == 4
        looks = {(style.italic, style.underline, style.bold, style.dim) for style in (mine, accepted, edited)}
        assert len(looks) == 3  # also without colour
        assert len({style.color for style in (mine, accepted, edited)}) == 3


async def test_the_text_is_a_centred_column() -> None:
    text = "word " * 60
    async with open_page(text, size=(100, 20)) as (page, pilot, _):
        page.column = 60
        lines = painted(page)
        assert page.wrap_width == 60
        assert page.gutter_width == 19
        assert all(line.startswith(" " * 19 + "word") for line in lines if line)
        assert max(len(line) for line in lines) <= 19 + 60
        heard = page.wrapped_document.get_offsets(0)
        await pilot.resize_terminal(120, 20)
        assert page.wrapped_document.get_offsets(0) is heard  # wider margins are no reason to wrap anew
        assert page.gutter_width == 29
        await pilot.resize_terminal(40, 20)
        assert (page.wrap_width, page.gutter_width) == (38, 0)
        assert_whole(page)


async def test_a_click_lands_where_it_points_in_a_centred_column() -> None:
    async with open_page("one two three", size=(100, 10)) as (page, pilot, _):
        page.column = 20
        await pilot.click(page, offset=(page.gutter_width + 4, 0))
        assert page.cursor_location == (0, 4)
        assert page.cursor_screen_offset.x == page.gutter_width + 4


async def test_typewriter_scrolling_holds_the_carets_line_where_it_is() -> None:
    text = "\n".join(f"line {number}" for number in range(60))
    async with open_page(text, size=(40, 20)) as (page, pilot, _):
        page.typewriter = True
        await pilot.pause()

        def height() -> int:
            return page.cursor_screen_offset.y

        held = height()
        assert held == 9  # 45 % of the window, also for the first line
        for keys in (["down"] * 3, ["pagedown"], ["ctrl+end"], ["ctrl+home"], ["x", "enter"]):
            await pilot.press(*keys)
            await pilot.pause()
            assert height() == held
        assert painted(page)[:8] == [""] * 8
        await pilot.click(page, offset=(page.gutter_width + 2, 12))
        assert page.cursor_location == (4, 2)
        page.typewriter = False
        await pilot.pause()
        assert painted(page)[0]
        assert_whole(page)


async def test_only_the_paragraph_at_the_caret_is_lit() -> None:
    async with open_page("first one\nfirst two\n\nsecond", caret=0) as (page, pilot, _):
        page.spotlight = True
        await pilot.pause()
        lit, dim = style_of(page, "first two", 1), style_of(page, "second", 3)
        assert lit.color != dim.color
        await pilot.press("ctrl+end")
        page.blur()
        await pilot.pause()
        assert style_of(page, "second", 3).color == lit.color
        assert style_of(page, "first", 1).color == dim.color


@pytest.mark.parametrize(
    ("rows", "row", "lit"),
    [
        (["a", "", "b", "c", "", "d"], 3, range(2, 4)),
        (["a", "", "b"], 1, range(1, 2)),
        (["x" * 800, "y" * 800], 0, range(1)),  # a novel with a row for each paragraph
        (["row"] * 60, 30, range(30, 31)),
        (["one"], 0, range(1)),
    ],
)
def test_what_a_paragraph_is(rows: list[str], row: int, lit: range) -> None:
    assert paragraph_rows(rows, row) == lit


async def test_a_selection_shows_its_line_ends() -> None:
    async with open_page("one\n\ntwo") as (page, pilot, _):
        page.selection = Selection((0, 1), (2, 2))
        page.blur()
        await pilot.pause()
        page.render_lines(page.size.region)
        selected = page._theme.selection_style
        assert selected is not None
        marked = [
            "".join(s.text for s in page.render_line(y) if s.style and s.style.bgcolor == selected.bgcolor)
            for y in range(3)
        ]
        assert marked == ["ne ", " ", "tw"]


async def test_matches_are_lit_and_the_selected_one_more() -> None:
    async with open_page("rain and rain and rain", caret=5) as (page, pilot, _):
        page.open_offer("g", text="provisional rain ", streaming=False)
        assert await page.find(Query("rain")) == 3
        await page.find_next()
        await pilot.pause()
        backgrounds = [style.bgcolor for text, style in styles(page) if text == "rain"]
        assert len(backgrounds) == 3
        assert backgrounds[0] == backgrounds[2] != backgrounds[1]
        page.clear_find()
        await pilot.press("home")
        assert not [text for text, _ in styles(page) if text == "rain"]


async def test_markup_is_text() -> None:
    text = "[b]bold[/b] [/red] [@click=app.bell]x[/]"
    async with open_page(text) as (page, pilot, _):
        page.open_offer("g", text="[/red]", streaming=False)
        page.blur()
        await pilot.pause()
        assert painted(page)[0] == "[/red]" + text


async def test_the_placeholder_is_there_until_the_first_letter_and_is_text_too() -> None:
    async with open_page() as (page, pilot, _):
        assert painted(page)[0] == "Write, then press Tab."
        page.placeholder = "[/red] Write"
        assert painted(page)[0] == "[/red] Write"
        await pilot.press("a")
        assert painted(page)[0] == "a"
        await pilot.press("backspace")
        page.open_offer("g", text="An offer")
        assert painted(page)[0] == "An offer"


async def test_wide_characters_are_painted_where_they_are_counted() -> None:
    text = "漢字 e\u0301 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd\tend"
    async with open_page(text, caret=2) as (page, _, _app):
        page.cursor_blink = False
        page.render_lines(page.size.region)
        strip = page.render_line(0)
        assert strip.cell_length == cell_len(strip.text) == page.scrollable_content_region.width
        end = page.wrapped_document.location_to_offset((0, len(text))).x
        assert cell_len(strip.text.rstrip()) == end


@pytest.mark.parametrize("width", [60, 41])
async def test_a_window_that_becomes_low_keeps_the_caret_in_sight(width: int) -> None:
    text = "\n".join(f"Line {number} of the manuscript, and a little more of it." for number in range(100))
    async with open_page(text, caret=len(text), size=(60, 40)) as (page, pilot, _):
        for height in (8, 40, 5, 12):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            assert any("Line 99" in line for line in painted(page)), height
        page.place_caret(0)
        page.scroll_to(y=50, animate=False)
        await pilot.pause()
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert not any("Line 0 " in line for line in painted(page)), "what one reads elsewhere stays in sight"


async def test_after_a_resize_the_caret_is_where_it_was_on_the_screen() -> None:
    text = "\n\n".join("word " * 40 for _ in range(40))
    async with open_page(text, caret=len(text) // 2, size=(60, 20)) as (page, pilot, _):
        await pilot.press("up", "up")
        before = page.cursor_screen_offset.y
        await pilot.resize_terminal(45, 20)
        await pilot.pause()
        assert page.cursor_screen_offset.y == before


async def test_a_key_repaints_only_its_own_lines() -> None:
    text = "\n\n".join("word " * 40 for _ in range(40))
    async with open_page(text, caret=600, size=(60, 20)) as (page, pilot, _):
        await pilot.pause()
        painted_lines: list[int] = []
        real = page.render_line

        def spy(y: int):  # type: ignore[no-untyped-def]  # stands in for render_line
            painted_lines.append(y)
            return real(y)

        page.render_line = spy  # type: ignore[method-assign]
        await pilot.press("x")
        await pilot.pause()
        assert 0 < len(set(painted_lines)) < 10


WORDS = " and she put on her coat and walked out into the rain. Then nobody came, for a long while."


@pytest.mark.parametrize(
    "steps",
    [
        ["sentence"],
        ["all"],
        ["sentence", "ctrl+left"],
        ["sentence", "ctrl+z"],
        ["sentence", "all", "ctrl+z", "ctrl+z", "ctrl+y", "ctrl+y"],
        ["word", "sentence", "ctrl+left", "sentence", "escape"],
        ["word", "left", "left", "x", "ctrl+z", "ctrl+y"],
        ["all", "left", "left", "shift+up", "shift+home", "delete", "ctrl+z"],
    ],
)
@pytest.mark.parametrize("spotlight", [False, True])
async def test_the_screen_is_what_a_whole_repaint_would_paint(steps: list[str], *, spotlight: bool) -> None:
    async with open_page("She read it twice,\n\nThe end.", caret=18, size=(24, 16)) as (page, pilot, app):
        page.cursor_blink, page.origins, page.spotlight = False, True, spotlight
        pieces: dict[str, Kind] = {"word": "word", "sentence": "sentence", "all": "all"}
        page.open_offer("g", text=WORDS, streaming=False)
        await pilot.pause()
        for step in steps:
            kind = pieces.get(step)
            if kind is not None:
                page.accept(kind)
            else:
                await pilot.press(step)
            await pilot.pause()
            shown = app.export_screenshot(simplify=True)
            page.refresh()
            await pilot.pause()
            assert shown == app.export_screenshot(simplify=True), step
