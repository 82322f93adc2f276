"""Asking, keeping, refusing, walking through takes: what the room does with a scripted engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storyteller.config import Settings
from storyteller.engine.fake import Reply
from storyteller.engine.protocol import Cancel, Generate
from storyteller.errors import EngineError, ModelError
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stubs.open_room import OpenRoom

FIRST, SECOND = " The lamp burned low. Nobody came.", " Then she left."


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("# One\n\nShe read it twice.", encoding="utf-8")
    return path


async def asked(room: OpenRoom, *, tokens: int = 1000) -> None:
    await room.press("ctrl+end", "tab")
    await room.stream(tokens)


async def test_tab_streams_an_offer_and_tab_keeps_it(novel: Path) -> None:
    async with open_room(novel, script=[FIRST]) as room:
        await asked(room, tokens=3)
        assert room.text == "# One\n\nShe read it twice."
        assert room.offered
        assert FIRST.startswith(room.offered)
        assert "writing" in room.line("status")
        assert "hide" in room.line("hints")
        await room.stream()
        assert room.offered == FIRST
        assert "take 1 of 1" in room.line("status")
        await room.press("tab")
        assert room.text.endswith("twice." + FIRST)
        assert not room.offered
        assert "Kept 6 words." in room.line("status")
        assert "•" in room.line("top")


async def test_word_sentence_and_giving_back(novel: Path) -> None:
    async with open_room(novel, script=[FIRST]) as room:
        await asked(room)
        await room.press("ctrl+right")
        assert room.text.endswith("twice. The")
        await room.press("ctrl+down")
        assert room.text.endswith("twice. The lamp burned low.")
        assert "give back" in room.line("hints")
        await room.press("ctrl+left")
        assert room.text.endswith("twice. The")
        assert room.offered == FIRST.removeprefix(" The")
        await room.press("end")
        assert room.text.endswith(FIRST)


async def test_escape_refuses_a_whole_offer_and_it_stays_among_the_takes(novel: Path) -> None:
    async with open_room(novel, script=[FIRST, SECOND]) as room:
        await asked(room)
        await room.press("escape")
        assert not room.offered
        assert "Refused." in room.line("status")
        assert room.text == "# One\n\nShe read it twice."
        await room.press("f7")
        assert room.offered == FIRST


async def test_escape_hides_a_stream_and_lets_it_finish(novel: Path) -> None:
    async with open_room(novel, script=[FIRST]) as room:
        await asked(room, tokens=2)
        await room.press("escape")
        assert not room.offered
        assert "stop it" in room.line("hints")
        await room.stream()
        assert room.room.prompter.tree.at(len(room.text))[0].text == FIRST
        await room.press("f8")
        assert room.offered == FIRST


async def test_a_hidden_stream_comes_back_with_tab(novel: Path) -> None:
    async with open_room(novel, script=[FIRST]) as room:
        await asked(room, tokens=2)
        await room.press("escape")
        await room.press("tab")
        assert room.offered
        await room.stream()
        assert room.offered == FIRST
        assert len([request for request in room.engine.received if isinstance(request, Generate)]) == 1


async def test_a_hidden_stream_is_no_more_spoken_of_once_the_text_moved_on(novel: Path) -> None:
    async with open_room(novel, script=[FIRST, SECOND]) as room:
        await asked(room, tokens=2)
        await room.press("escape")
        assert "show it" in room.line("hints")
        await room.press("z")
        assert "show it" not in room.line("hints")


async def test_escape_refuses_what_is_in_sight_before_it_stops_what_is_not(novel: Path) -> None:
    async with open_room(novel, script=[FIRST, SECOND]) as room:
        await asked(room)
        await room.press("ctrl+r")
        await room.engine.step(2)
        await room.until(lambda: room.offered)
        await room.press("escape", "f8")  # the second is hidden, the first on the page
        assert room.offered == FIRST
        await room.press("escape")
        assert not room.offered
        assert "Refused." in room.line("status")
        assert room.room.prompter.asking is not None
        await room.press("escape")
        await room.until(lambda: room.room.prompter.asking is None)


async def test_a_copy_holds_nothing_that_is_only_offered(novel: Path) -> None:
    async with open_room(novel, script=[FIRST]) as room:
        await asked(room)
        await room.press("ctrl+a", "ctrl+c")
        assert room.offered == FIRST
        assert room.app.clipboard == "# One\n\nShe read it twice."


async def test_escape_twice_cancels(novel: Path) -> None:  # safety 39
    async with open_room(novel, script=[FIRST]) as room:
        await asked(room, tokens=2)
        await room.press("escape", "escape")
        await room.until(lambda: room.room.prompter.asking is None)
        assert any(isinstance(request, Cancel) for request in room.engine.received)
        assert room.text == "# One\n\nShe read it twice."
        assert not room.offered


async def test_another_take_and_walking_between_them(novel: Path) -> None:
    async with open_room(novel, script=[FIRST, SECOND]) as room:
        await asked(room)
        await room.press("ctrl+r")
        await room.stream()
        assert room.offered == SECOND
        assert "take 2 of 2" in room.line("status")
        await room.press("f7")
        assert room.offered == FIRST
        assert "take 1 of 2" in room.line("status")
        await room.press("alt+down")
        assert room.offered == SECOND
        await room.press("tab")
        assert room.text.endswith("twice." + SECOND)


async def test_takes_stay_at_their_spot_while_the_text_before_it_changes(novel: Path) -> None:
    async with open_room(novel, script=[FIRST]) as room:
        await asked(room)
        await room.press("escape", "ctrl+home", "x", "ctrl+end", "f8")
        assert room.offered == FIRST
        await room.press("tab")
        assert room.text == "x# One\n\nShe read it twice." + FIRST


async def test_typing_something_else_ends_the_stream(novel: Path) -> None:
    async with open_room(novel, script=[FIRST]) as room:
        await asked(room, tokens=2)
        await room.press("z")
        await room.until(lambda: room.room.prompter.asking is None)
        assert room.text.endswith("twice.z")
        assert not room.offered


async def test_typing_what_is_offered_keeps_it_letter_by_letter(novel: Path) -> None:
    async with open_room(novel, script=[FIRST]) as room:
        await asked(room)
        await room.press("space", "T", "h")
        assert room.text.endswith("twice. Th")
        assert room.offered == FIRST.removeprefix(" Th")


async def test_a_final_text_that_is_shorter_wins(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=(FIRST + " And th",), final=(FIRST,))]) as room:
        await asked(room)
        assert room.offered == FIRST


async def test_an_empty_take_says_so(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=("",), finish="eos")]) as room:
        await asked(room)
        assert "nothing to add" in room.line("status")
        assert not room.room.page.offer_open


async def test_an_engine_that_dies_leaves_the_text_and_the_next_tab_works(novel: Path) -> None:
    async with open_room(novel, script=[Reply(texts=(FIRST,), dies=True, after=3), SECOND]) as room:
        await asked(room)
        assert room.text == "# One\n\nShe read it twice."
        assert "The engine stopped" in room.line("status")
        await room.press("escape", "ctrl+end", "tab")
        await room.stream()
        assert room.offered == SECOND


async def test_a_refused_request_is_one_sentence(novel: Path) -> None:
    reply = Reply(error=EngineError("Try [b]again[/b]."))
    async with open_room(novel, script=[reply]) as room:
        await asked(room)
        assert "Try [b]again[/b]." in room.line("status")


async def test_a_request_while_the_model_loads_waits_and_says_so(novel: Path) -> None:
    async with open_room(novel, script=[FIRST], slow_load=True) as room:
        assert "opening the model" in room.line("status")
        await room.press("ctrl+end", "tab")
        await room.until(lambda: "still being opened" in room.line("status"))
        room.engine.finish_loading()
        await room.stream()
        assert room.offered == FIRST
        assert "still being opened" not in room.line("status"), "it is not so any more"


async def test_without_a_model_every_request_says_why_there_is_none(novel: Path) -> None:
    # safety 36
    async with open_room(novel, slow_load=True) as room:
        await room.press("ctrl+end", "tab")
        await room.until(lambda: "still being opened" in room.line("status"))
        room.engine.fail_loading(ModelError("model.safetensors is damaged. Fetch it again."))
        await room.until(lambda: room.room.prompter.asking is None)
        assert "is damaged" in room.line("status")
        room.room.quiet()
        await room.settle()
        assert "no model" in room.line("status")
        assert room.text == "# One\n\nShe read it twice."


async def test_a_hundred_retries_leave_nothing_behind(novel: Path) -> None:  # safety 39
    async with open_room(novel, script=[FIRST, SECOND]) as room:
        await room.press("ctrl+end")
        for number in range(100):
            room.room.page.action_another()
            if number % 7 == 0:
                await room.settle()
                await room.engine.step(1)
        await room.settle()
        await room.stream()
        assert room.text == "# One\n\nShe read it twice."
        assert room.offered in {FIRST, SECOND}
        assert len([worker for worker in room.app.workers if worker.group == "stream"]) <= 1


async def test_several_takes_a_tab_are_kept_beside_the_first(novel: Path) -> None:
    settings = Settings(consent="no", takes=3)
    async with open_room(novel, script=[Reply(texts=(FIRST, SECOND, " Third."))], settings=settings) as room:
        await asked(room)
        assert room.offered == FIRST
        await room.press("f8")
        assert room.offered == SECOND
        assert "of 3" in room.line("status")


async def test_the_request_is_what_the_settings_say(novel: Path) -> None:
    settings = Settings(consent="no", max_tokens=25, end_at_sentence=False, preset="greedy")
    async with open_room(novel, script=[FIRST], settings=settings) as room:
        await asked(room)
        request = next(request for request in room.engine.received if isinstance(request, Generate))
        assert request.context.text == "# One\n\nShe read it twice."
        assert (request.stop.max_tokens, request.stop.end_at_sentence) == (25, False)
        assert request.settings.method == "greedy"
        assert request.seed is not None


async def test_offers_come_by_themselves_after_a_pause_when_switched_on(novel: Path) -> None:
    settings = Settings(consent="no", auto_offer=True, auto_offer_delay_s=0.1)
    async with open_room(novel, script=[FIRST], settings=settings) as room:
        await room.press("ctrl+end", "space", "x")
        await room.pilot.pause(0.2)
        await room.stream()
        assert room.offered == FIRST


async def test_markup_in_an_offer_is_text(novel: Path) -> None:  # safety 44 78
    hostile = " [/red] [@click=app.quit]x[/] \x1b[2J"
    async with open_room(novel, script=[hostile]) as room:
        await asked(room)
        await room.press("tab")
        assert "[/red] [@click=app.quit]x[/] " in room.text
        assert "\x1b" not in room.text
