"""Whatever is done to a page in whatever order, it is what a plain string would be.  safety 80"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.events import Paste

from storyteller.manuscript.segments import count_words
from storyteller.text import writable_text
from storyteller.tui.editor.document import split_lines, with_newlines
from storyteller.tui.editor.find import Query
from tests.stubs.page_app import assert_whole, open_page, painted

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from storyteller.manuscript.offer import Kind
    from storyteller.tui.editor.page import Page

TEXTS = st.lists(
    st.sampled_from(
        ["Ada ", "the rain", "\n", "\n\n", "漢字。", "e\u0301", "\x0c", "\u2028", "word ", "—", "\x1b", "\t"]
    ),
    max_size=12,
).map("".join)
NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
CHUNKS = st.sampled_from(
    [" She", " left", ".", " Then", "\n", "\n\nRain", "漢字", "。", "e", "\u0301", " a long word", "\x1b"]
)
KINDS: st.SearchStrategy[Kind] = st.sampled_from(["all", "word", "sentence", "line"])
KEYS = st.sampled_from(
    [
        *["left", "right", "up", "down", "home", "end", "pagedown", "shift+left", "shift+down", "ctrl+a"],
        *["ctrl+left", "ctrl+right", "ctrl+home", "ctrl+end"],
    ]
)
EDIT_KEYS = st.sampled_from(
    ["backspace", "delete", "ctrl+w", "ctrl+delete", "ctrl+k", "ctrl+u", "ctrl+shift+k", "ctrl+x", "enter"]
)
Step: TypeAlias = tuple[str, object]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.booleans()),
        st.tuples(st.just("feed"), CHUNKS),
        st.tuples(st.just("feed"), CHUNKS),
        st.tuples(st.just("rewind"), st.integers(0, 6)),
        st.tuples(st.just("finish"), st.one_of(st.none(), CHUNKS)),
        st.tuples(st.just("accept"), KINDS),
        st.tuples(st.just("back"), st.none()),
        st.tuples(st.just("reject"), st.none()),
        st.tuples(st.just("hide"), st.booleans()),
        st.tuples(st.just("through"), st.integers(1, 3)),
        st.tuples(st.just("type"), st.sampled_from("ax 漢\n")),
        st.tuples(st.just("paste"), st.sampled_from(["pasted", "two\nlines", "cr\r\nlf\r", "\x1b[201~", ""])),
        st.tuples(st.just("undo"), st.none()),
        st.tuples(st.just("redo"), st.none()),
        st.tuples(st.just("key"), KEYS),
        st.tuples(st.just("edit"), EDIT_KEYS),
        st.tuples(st.just("resize"), st.sampled_from([(30, 8), (60, 20), (12, 4), (6, 2)])),
        st.tuples(st.just("look"), st.sampled_from(["typewriter", "spotlight", "origins"])),
        st.tuples(st.just("replace"), st.sampled_from([("a", "bb"), ("rain", ""), ("\n", " / ")])),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEXTS, NEWLINES, st.integers(0, 40), STEPS)
def test_a_page_is_a_string(text: str, newline: str, caret: int, steps: list[Step]) -> None:  # safety 80
    """safety 80: stream, refuse, take, give back, type, undo, redo, paste, rewind, resize, in any order."""
    asyncio.run(_play(with_newlines(text, newline), caret, steps))


async def _play(text: str, caret: int, steps: list[Step]) -> None:
    async with open_page(text, caret=min(caret, len(text))) as (page, pilot, _):
        known = {(page.exact_text, page.provenance.to_json())}
        for name, value in steps:
            before = page.exact_text
            edits: list[tuple[int, int, int]] = []
            heard = page._edited
            page._edited = _listening(edits, heard)  # type: ignore[method-assign]  # a spy on this one page
            expected = await _do(page, pilot, name, value)
            page._edited = heard  # type: ignore[method-assign]
            if expected is not None:
                assert page.exact_text == expected
            _explains(before, page.exact_text, edits)
            _is_a_string(page)
            assert_whole(page)
            painted(page)
            known.add((page.exact_text, page.provenance.to_json()))
        await _undo_everything(page, text, known)


def _is_a_string(page: Page) -> None:
    """The document is the settled text with what is provisional in it, and every count is a fresh count."""
    text, stretch = page.exact_text, page._provisional
    assert page.document.text == text[: stretch.start] + stretch.text + text[stretch.start :]
    assert page.document.lines == split_lines(page.document.text)[0]
    assert page.words == count_words(text)
    assert 0 <= page.settled_cursor <= len(text)


async def _do(page: Page, pilot: Pilot[None], name: str, value: object) -> str | None:
    """Do one step; returns what the settled text must be afterwards, or None where the step decides."""
    text, offer = page.exact_text, page.offer
    newline = page.document.newline
    anchor, caret = sorted(page._offsets(page.selection))
    if name == "open":
        page.open_offer("g", text=" An" if value else "", streaming=True)
    elif name == "feed" and offer:
        page.feed(offer, str(value))
    elif name == "rewind" and offer:
        page.rewind(offer, value if isinstance(value, int) else 0)
    elif name == "finish" and offer:
        page.finish(offer, None if value is None else offer.whole[:-2] + str(value))
    elif name == "accept":
        at = page._provisional.start
        kind = value if value in {"all", "word", "sentence", "line"} else "all"
        piece = page.accept(kind)  # type: ignore[arg-type]  # narrowed by the line above
        if piece is not None:
            assert page.settled_cursor == at + len(with_newlines(piece.text, newline))
            return text[:at] + with_newlines(piece.text, newline) + text[at:]
    elif name == "back":
        taken = offer.taken[-1].text if offer and offer.taken else ""
        if page.give_back():
            end = page._provisional.start + len(with_newlines(taken, newline))
            return text[: page._provisional.start] + text[end:]
    elif name == "reject":
        page.reject()
        assert page.document.text == text
    elif name == "hide":
        _ = page.hide_offer() if value else page.show_offer()
    elif name == "through" and offer and page.offer_open and page._at_offer and isinstance(value, int):
        typed = offer.text[:value]
        if typed:
            page._replace_via_keyboard(typed, page.cursor_location, page.cursor_location)
            typed = with_newlines(typed, newline)
            assert page.offer is offer
            return text[:caret] + typed + text[caret:]
    elif name == "type":
        page._replace_via_keyboard(str(value), *page.selection)
        return text[:anchor] + with_newlines(str(value), newline) + text[caret:]
    elif name == "paste":
        await page._on_paste(Paste(str(value)))
        pasted = with_newlines(writable_text(str(value)), newline)
        return text[:anchor] + pasted + text[caret:]
    elif name in {"undo", "redo"}:
        (page.undo if name == "undo" else page.redo)()
        return None
    elif name in {"key", "edit"}:
        await pilot.press(str(value))
        return text if name == "key" and value not in {"ctrl+left", "ctrl+right", "end"} else None
    elif name == "resize" and isinstance(value, tuple):
        await pilot.resize_terminal(*value)
    elif name == "look":
        setattr(page, str(value), not getattr(page, str(value)))
        page.column = 40 - page.column
    elif name == "replace" and isinstance(value, tuple):
        await page.find(Query(value[0], case=True))
        await page.replace_all(value[1])
        page.clear_find()
        return None
    return text


def _listening(edits: list[tuple[int, int, int]], heard: Callable[..., None]) -> Callable[..., None]:
    def listen(start: int, removed: int, added: int, *rest: object) -> None:
        edits.append((start, removed, added))
        heard(start, removed, added, *rest)

    return listen


def _explains(before: str, after: str, edits: list[tuple[int, int, int]]) -> None:
    """What the page says of its edits is what happened: everything outside them stayed."""
    if not edits:
        assert before == after
    if len(edits) == 1:
        start, removed, added = edits[0]
        assert before[:start] == after[:start]
        assert before[start + removed :] == after[start + added :]
        assert len(after) - len(before) == added - removed


async def _undo_everything(page: Page, first: str, known: set[tuple[str, str]]) -> None:
    """Undo to the beginning and redo to the end: texts and origins that were there, the same both ways."""
    page.settle()
    seen = [(page.exact_text, page.provenance.to_json())]
    while page._steps.last is not None:
        page.undo()
        seen.append((page.exact_text, page.provenance.to_json()))
        assert seen[-1] in known
        assert_whole(page)
    assert seen[-1][0] == first
    assert "a" not in seen[-1][1]
    assert "e" not in seen[-1][1]
    seen.pop()
    while seen:
        page.redo()
        assert seen.pop() == (page.exact_text, page.provenance.to_json())
        assert_whole(page)
        assert page.words == count_words(page.exact_text)
