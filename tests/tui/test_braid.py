"""The braid: lanes that grow side by side, what keys and mouse do to them, and what comes onto the page."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from textual.geometry import Region

from storyteller.config import Settings, load_settings
from storyteller.engine.fake import Reply
from storyteller.engine.protocol import Cancel, Generate
from storyteller.errors import EngineError
from storyteller.tui.braid import Above, Braid
from storyteller.tui.dialogs.picker import Picker
from storyteller.tui.lines import Line
from tests.stubs.open_braid import ANOTHER, BEFORE, TEXTS, braided, grow
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.tui.lane_view import LaneView
    from storyteller.tui.lanes import Lane
    from tests.stubs.open_room import OpenRoom


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text(BEFORE, encoding="utf-8")
    return path


def hints(braid: Braid) -> str:
    return braid.query_one("#hints", Line).text


def captions(braid: Braid) -> list[str]:
    return [braid.lanes.caption(lane) for lane in braid.lanes.lanes]


def painted(view: LaneView) -> str:
    return view.render().plain


def requests(room: OpenRoom) -> list[Generate]:
    return [request for request in room.engine.received if isinstance(request, Generate)]


def cancels(room: OpenRoom) -> list[tuple[int, int | None]]:
    """Which request, by its number, and which take of it."""
    ids = [request.id for request in requests(room)]
    return [(ids.index(each.id), each.take) for each in room.engine.received if isinstance(each, Cancel)]


async def test_one_request_streams_into_all_lanes(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        braid = await braided(room, 7)
        (request,) = requests(room)
        assert (request.takes, request.context.text) == (3, BEFORE)
        assert captions(braid) == ["growing"] * 3
        assert all(text.startswith(view.lane.text) for text, view in zip(TEXTS, braid.views, strict=True))
        assert [painted(view).split()[0] for view in braid.views] == ["Then", "The", "“You"]
        assert "writing" in braid.query_one("#status", Line).text
        assert room.text == BEFORE
        await grow(room)
        assert [view.lane.text for view in braid.views] == list(TEXTS)
        assert all(caption.endswith("· new") for caption in captions(braid))


async def test_lines_painted_as_they_grow_are_what_painting_anew_gives(novel: Path) -> None:
    def strips(view: LaneView) -> list[str]:
        return [strip.text for strip in view.render_lines(view.size.region)]

    async with open_room(novel, script=[Reply(texts=TEXTS)], size=(100, 20)) as room:
        braid = await braided(room, 3)
        for keys in (("up",), ("right", "up", "up"), ("down",), ("left",), ("end",)):
            await grow(room, 6)
            await room.press(*keys)
            braid.draw()
            for view in braid.views:
                painted = strips(view)
                view.refresh()
                assert painted == strips(view)


async def test_a_line_that_came_while_another_was_painted_is_painted_too(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)], size=(100, 20)) as room:
        view = (await braided(room, 3)).views[0]
        lane = SimpleNamespace(number=1, text="one", caret=None)
        view.lane = cast("Lane", lane)
        for text in ("one", "one\ntwo"):
            view.show("", current=False, boxed=True)
            view.render_lines(view.size.region)
            view.refresh(Region(0, 0, 1, 1))  # painted later, when more is there
            lane.text = text
            view.render_lines(view.size.region)
        view.show("", current=False, boxed=True)
        assert any("two" in strip.text for strip in view.render_lines(view.size.region))


async def test_the_room_is_not_painted_under_the_lanes(novel: Path) -> None:
    def in_sight() -> bool:
        return room.room.is_current

    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        await braided(room, 3)
        assert not in_sight()
        await room.press("escape")
        assert in_sight()
        assert "show them" in room.line("hints")


async def test_the_settings_say_how_many_lanes(novel: Path) -> None:
    for lanes in (2, 6):
        async with open_room(novel, settings=Settings(consent="no", braid_lanes=lanes)) as room:
            braid = await braided(room)
            assert len(braid.views) == requests(room)[0].takes == lanes


async def test_the_number_of_lanes_is_picked_and_remembered(novel: Path) -> None:
    async with open_room(novel) as room:
        room.room.act("takes.lanes")
        await room.dialog(Picker)
        await room.press("down", "enter")
        await braided(room, 0)
        assert requests(room)[0].takes == 4
        assert load_settings()[0].braid_lanes == 4


async def test_enter_keeps_the_lane_as_one_step_of_the_history(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        await braided(room)
        await room.press("right", "enter")
        page = room.room.page
        assert room.text == BEFORE + TEXTS[1]
        assert not room.offered
        assert "Kept 12 words." in room.line("status")
        spans = [(span.start, span.end, span.origin) for span in page.provenance.spans(0, 999)]
        assert spans == [(len(BEFORE), len(BEFORE + TEXTS[1]), "accepted")]
        await room.press("ctrl+z")
        assert room.text == BEFORE
        await room.press("ctrl+y")
        assert room.text == BEFORE + TEXTS[1]


async def test_a_number_keeps_its_lane_to_the_caret_and_the_rest_stays_on_offer(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        braid = await braided(room)
        await room.press("right", "up", "up", "left")
        assert braid.lanes.lane.number == 1
        await room.press("2")
        assert room.text == BEFORE + " The first time she laughed, the second time she counted"
        assert room.offered == " the lines."
        assert "keep" in room.line("hints")
        await room.press("ctrl+left")
        assert room.text == BEFORE
        assert room.offered == TEXTS[1]
        await room.press("tab")
        assert room.text == BEFORE + TEXTS[1]


async def test_words_up_and_down_and_all_of_it(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        braid = await braided(room)
        lane = braid.lanes.lane
        await room.press("up")
        assert (lane.kept, lane.rest) == (" Then she put on her", " coat.")
        await room.press("up", "down", "down")
        assert lane.caret is None
        await room.press(*["up"] * 9)
        assert lane.kept == ""
        await room.press("enter")
        assert isinstance(room.app.screen, Braid)
        assert "before the first word" in braid.query_one("#status", Line).text
        await room.press("end", "enter")
        assert room.text == BEFORE + TEXTS[0]


async def test_a_growing_lane_can_be_kept_and_goes_on_as_the_offer_while_the_others_stop(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        braid = await braided(room, 9)
        there = braid.lanes.lanes[1].text
        await room.press("2")
        assert room.text.startswith(BEFORE + there)
        await room.until(lambda: cancels(room) == [(0, 0), (0, 2)])
        await room.stream()
        assert room.text + room.offered == BEFORE + TEXTS[1]
        kept = {take.text for take in room.room.prompter.tree.at(len(BEFORE))}
        assert TEXTS[1] in kept
        assert len(kept) == 3


async def test_a_dropped_lane_is_cancelled_and_its_number_is_not_given_to_another(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        braid = await braided(room, 4)
        await room.press("right", "x")
        assert [view.lane.number for view in braid.views] == [1, 3]
        await room.until(lambda: cancels(room) == [(0, 1)])
        await grow(room)
        assert [view.lane.text for view in braid.views] == [TEXTS[0], TEXTS[2]]
        await room.press("2")
        assert isinstance(room.app.screen, Braid)
        await room.press("x", "x")
        assert "last lane" in braid.query_one("#status", Line).text
        await room.press("1")
        assert room.text == BEFORE + TEXTS[0]
        assert len(room.room.prompter.tree.at(len(BEFORE))) == 3


async def test_a_replaced_lane_gets_a_take_of_another_seed(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS), ANOTHER]) as room:
        braid = await braided(room, 4)
        await room.press("right", "r")
        await room.until(lambda: cancels(room) == [(0, 1)])
        first, second = requests(room)
        assert (second.takes, second.context) == (1, first.context)
        assert second.seed not in {first.seed, None}
        assert captions(braid)[1] == "waiting"
        await grow(room)
        assert [view.lane.text for view in braid.views] == [TEXTS[0], ANOTHER, TEXTS[2]]
        await room.press("2")
        assert room.text == BEFORE + ANOTHER


async def test_a_lane_more_until_there_are_six(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS), ANOTHER]) as room:
        braid = await braided(room)
        await room.press("plus")
        await grow(room)
        assert [view.lane.number for view in braid.views] == [1, 2, 3, 4]
        assert braid.lanes.lane.text == ANOTHER
        await room.press("plus", "plus", "plus")
        assert len(braid.views) == 6
        assert "6 lanes at most" in braid.query_one("#status", Line).text


async def test_leaving_ends_nothing_and_the_key_brings_the_lanes_back(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        await braided(room, 4)
        await room.press("escape")
        assert room.app.screen is room.room
        assert cancels(room) == []
        assert "show them" in room.line("hints")
        await room.engine.step(3)
        await room.press("ctrl+t")
        braid = await room.dialog(Braid)
        assert isinstance(braid, Braid)
        assert len(requests(room)) == 1
        await room.press("escape")
        await room.stream()
        assert {take.text for take in room.room.prompter.tree.at(len(BEFORE))} == set(TEXTS)
        await room.press("ctrl+t")
        await room.dialog(Braid)
        assert len(requests(room)) == 2


async def test_escape_in_the_room_stops_what_was_left(novel: Path) -> None:  # safety 39
    async with open_room(novel, script=[Reply(texts=TEXTS), ANOTHER]) as room:
        await braided(room, 4)
        await room.press("r", "escape", "escape")
        await room.until(lambda: room.room.prompter.asking is None)
        await room.until(lambda: {(0, None), (1, None)} <= set(cancels(room)))
        assert "write on" in room.line("hints")
        await room.press("tab")
        assert room.text == BEFORE


async def test_takes_of_the_braid_can_be_walked_through(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        await braided(room)
        await room.press("escape", "f8")
        assert room.offered == TEXTS[0]
        await room.press("f7")
        assert room.offered == TEXTS[2]
        assert "take 3 of 3" in room.line("status")
        await room.press("alt+up", "tab")
        assert room.text == BEFORE + TEXTS[1]


async def test_a_click_chooses_a_word_and_two_keep_to_it(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        braid = await braided(room)
        view = braid.views[1]
        # the box and a blank, then "The first time…"
        assert await room.pilot.click(view, offset=(2 + len("The fi"), 1))
        assert (braid.lanes.lane.number, braid.lanes.lane.kept) == (2, " The first")
        assert await room.pilot.click(view, offset=(10, 8))
        assert braid.lanes.lane.caret is None
        await room.pilot.click(view, offset=(2 + len("The first t"), 1), times=2)
        await room.settle()
        assert room.text == BEFORE + " The first time"
        assert room.offered.startswith(" she laughed,")


@pytest.mark.parametrize(
    ("size", "lanes"),
    [((100, 30), 3), ((80, 24), 2), ((80, 24), 6), ((160, 50), 6), ((40, 24), 6), ((40, 50), 3)],
)
async def test_every_size_shows_all_lanes_and_the_end_of_what_grows(
    novel: Path, size: tuple[int, int], lanes: int
) -> None:
    settings = Settings(consent="no", braid_lanes=lanes)
    async with open_room(novel, script=[Reply(texts=TEXTS)], settings=settings, size=size) as room:
        braid = await braided(room)
        area = braid.query_one("#lanes").region
        assert all(area.contains_region(view.region) for view in braid.views)
        ends = [view.lane.text.split()[-1] for view in braid.views]
        assert all(end in painted(view) for end, view in zip(ends, braid.views, strict=True))
        assert "She read it twice." in braid.query_one(Above).render().plain
        assert "Esc" in hints(braid)
        await room.press("down", "right", "enter")
        assert room.text == BEFORE + TEXTS[1]


async def test_a_screen_too_low_for_all_lanes_scrolls_to_the_current_one(novel: Path) -> None:
    settings = Settings(consent="no", braid_lanes=6)
    async with open_room(novel, script=[Reply(texts=TEXTS)], settings=settings, size=(40, 11)) as room:
        braid = await braided(room)
        area = braid.query_one("#lanes").region
        unseen = [view.lane.number for view in braid.views if not area.overlaps(view.region)]
        assert unseen == [4, 5, 6]
        assert [view.lane.take.on_page for view in braid.views].count(True) == 6 - len(unseen)
        await room.press("left")
        await room.until(lambda: area.contains_region(braid.views[5].region))
        await room.until(lambda: braid.views[5].lane.take.on_page and not braid.views[0].lane.take.on_page)


async def test_a_resize_finds_new_places(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        braid = await braided(room)
        assert len({view.region.y for view in braid.views}) == 1
        await room.pilot.resize_terminal(60, 30)
        await room.until(lambda: len({view.region.y for view in braid.views}) == 3)
        await room.pilot.resize_terminal(1, 1)
        await room.settle()
        await room.pilot.resize_terminal(100, 30)
        await room.until(lambda: len({view.region.y for view in braid.views}) == 1)


async def test_hostile_text_is_shown_as_text(tmp_path: Path) -> None:  # safety 44, 45, 78
    novel = tmp_path / "novel.md"
    novel.write_text("She [b]read[/b] it \x1b[31mtwice.", encoding="utf-8")
    hostile = " [/red][@click=app.quit]x[/] \x1b]0;title\x07 \u202eevil\x9b31m"
    async with open_room(novel, script=[Reply(texts=(hostile, hostile))]) as room:
        braid = await braided(room)
        assert painted(braid.views[0]).startswith("[/red][@click=app.quit]x[/]")
        shown = "".join(painted(view) for view in braid.views) + braid.query_one(Above).render().plain
        assert "\u241b[31mtwice." in shown
        assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e"}
        await room.press("1")
        assert not set(room.text.removeprefix(novel.read_text(encoding="utf-8"))) & {"\x1b", "\x07", "\x9b"}


async def test_a_rewound_take_loses_its_end_and_the_caret_follows(novel: Path) -> None:
    reply = Reply(texts=TEXTS, rewind=2)
    async with open_room(novel, script=[reply]) as room:
        braid = await braided(room)
        assert TEXTS[0].startswith(braid.views[0].lane.text)
        assert len(braid.views[0].lane.text) < len(TEXTS[0])


async def test_an_engine_that_fails_is_one_sentence_and_r_asks_again(novel: Path) -> None:
    script: list[Reply | str] = [Reply(texts=TEXTS, error=EngineError("Try [b]again[/b]."), after=6), ANOTHER]
    async with open_room(novel, script=script) as room:
        braid = await braided(room)
        await room.until(lambda: not braid.lanes.streaming)
        assert "Try [b]again[/b]." in braid.query_one("#status", Line).text
        assert captions(braid)[0].startswith("stopped")
        await room.press("r")
        await grow(room)
        await room.press("enter")
        assert room.text == BEFORE + ANOTHER


async def test_a_braid_while_the_model_loads_waits(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=TEXTS)], slow_load=True) as room:
        braid = await braided(room, 0)
        assert captions(braid) == ["waiting"] * 3
        await room.press("enter")
        assert "Nothing came here yet" in braid.query_one("#status", Line).text
        room.engine.finish_loading()
        await grow(room)
        assert [view.lane.text for view in braid.views] == list(TEXTS)


async def test_newlines_of_the_file_are_kept(tmp_path: Path) -> None:
    novel = tmp_path / "novel.txt"
    novel.write_bytes(b"One.\r\n\r\nTwo.")
    async with open_room(novel, script=[Reply(texts=("\nThree.\nFour.", " no"))]) as room:
        await braided(room)
        await room.press("1")
        assert room.text == "One.\r\n\r\nTwo.\r\nThree.\r\nFour."


async def test_a_storm_of_keys_leaves_nothing_behind(novel: Path) -> None:  # safety 39
    async with open_room(novel, script=[Reply(texts=TEXTS), ANOTHER]) as room:
        braid = await braided(room, 4)
        for number in range(40):
            braid.action_replace()
            if number % 3 == 0:
                await braid.action_add()
            if number % 4 == 0:
                await braid.action_drop()
            braid.action_move(1)
            if number % 7 == 0:
                await room.settle()
                await room.engine.step(1)
        assert 1 <= len(braid.views) == len(braid.lanes.lanes) <= 6
        await room.press("escape", "escape")
        await room.until(lambda: room.room.prompter.asking is None, turns=2000)
        assert room.text == BEFORE
        assert not room.offered
        await room.until(lambda: not any(worker.group == "stream" for worker in room.app.workers))


async def test_help_opens_over_the_lanes(novel: Path) -> None:
    from storyteller.tui.dialogs.reading import Reading

    async with open_room(novel, script=[Reply(texts=TEXTS)]) as room:
        await braided(room, 4)
        await room.press("f1")
        await room.dialog(Reading)
        await grow(room)
        await room.press("escape")
        braid = await room.dialog(Braid)
        assert isinstance(braid, Braid)
        assert [view.lane.text for view in braid.views] == list(TEXTS)


async def test_a_page_for_reading_has_no_braid(novel: Path) -> None:
    async with open_room(novel) as room:
        room.room.page.read_only = True
        await room.press("ctrl+t")
        assert room.app.screen is room.room
        assert not requests(room)
