"""The training screen, with a run that is a script."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from textual.widgets import Input, OptionList, Static

from storyteller.engine.fake import READY, Reply
from storyteller.engine.presets import presets_path
from storyteller.engine.protocol import AdapterWeight, Generate
from storyteller.genres import genres_path
from storyteller.training.corpus import shelf
from storyteller.training.run_folder import RunFolder
from storyteller.tui.dialogs.choice import Choice
from storyteller.tui.dialogs.folder import FolderPicker
from storyteller.tui.dialogs.picker import Picker
from storyteller.tui.lines import Line
from storyteller.tui.training.curve import Curve
from storyteller.tui.training.screen import TrainingScreen
from storyteller.tui.training.trial import TrialScreen
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.segment import Segment

    from tests.stubs.open_room import OpenRoom

COMMAND = (sys.executable, "-m", "tests.stubs.train_run")
CONTROLS = {"\x1b", "\x07", "\u202e"}


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.", encoding="utf-8")
    return path


@pytest.fixture
def poems(tmp_path: Path) -> Path:
    folder = tmp_path / "poems"
    folder.mkdir()
    (folder / "one.txt").write_text("The moon is up.", encoding="utf-8")
    shelf.add("stories", [folder])
    return folder


async def training(room: OpenRoom) -> TrainingScreen:
    """The screen, from the room."""
    room.app.training.command = COMMAND
    room.app.training.poll_s = 0.01
    await room.press("ctrl+b")
    screen = await room.dialog(TrainingScreen)
    assert isinstance(screen, TrainingScreen)
    return screen


async def long(room: OpenRoom, seen: Callable[[], object]) -> None:
    """Until `seen`, which takes the start of a process."""
    async with asyncio.timeout(30):
        while not seen():
            await asyncio.sleep(0.01)  # a process has no event for it
            await room.settle()


def line(screen: TrainingScreen, name: str) -> str:
    return screen.query_one(f"#{name}", Line).text


def plan(screen: TrainingScreen) -> str:
    return str(screen.query_one("#plan", Static).content)


def samples(screen: TrainingScreen) -> str:
    return str(screen.query_one("#samples Static", Static).content)


async def test_a_run_from_the_plan_to_the_adapter(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:12")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        assert "rank 16" in plan(screen)
        assert "25 min" in plan(screen)
        assert "Eleven texts" in plan(screen)
        assert "This takes a while." in plan(screen)
        assert str(poems) in str(screen.query_one("#sources", OptionList).options[0].prompt)
        await room.press("enter")
        await long(room, lambda: screen.phase == "over")
        assert line(screen, "top").startswith("stories ← 412 texts, 96 k tokens, 21 held out")
        assert "base 61.8 → 30.2" in line(screen, "figures")
        assert "best at 12" in line(screen, "figures")
        assert "stories v0001 is learned" in line(screen, "standing")
        assert samples(screen).startswith("step 12")
        await room.press("escape")
        assert room.app.notices[-1] == "stories learned: Tab writes with it."


async def test_what_is_learned_beside_a_mix_without_it_is_not_said_to_be_written_with(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:12")
    async with open_room(novel) as room:
        room.app.adapters = (AdapterWeight("noir"),)
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        await room.press("enter")
        await long(room, lambda: screen.phase == "over")
        await room.press("escape")
        assert room.app.notices[-1] == "stories learned: ^G to write with it."


async def test_pause_go_on_stop_and_resume(novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:12 hold:4")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        await room.press("enter")
        await long(room, lambda: "step 4 of 12" in line(screen, "figures"))
        await room.press("p")
        await long(room, lambda: "paused" in line(screen, "figures"))
        assert "p go on" in line(screen, "hints")
        await room.press("escape")
        assert "training stories paused" in room.line("status")
        await room.press("ctrl+b")
        screen = await training_again(room)
        monkeypatch.setenv("STUB_RUN", "steps:12")
        await room.press("s")
        await long(room, lambda: screen.phase == "over")
        assert "stopped at step 4" in line(screen, "standing")
        assert [step for step, _ in room.app.training.progress.held_out] == [0, 2, 4]
        await room.press("r")
        await long(room, lambda: screen.phase == "over" and "12 of 12" in line(screen, "figures"))
        progress = room.app.training.progress
        assert [step for step, _ in progress.losses] == list(range(1, 13))
        assert [step for step, _ in progress.held_out] == [0, 2, 4, 6, 8, 10, 12]
        assert "r go on" not in line(screen, "hints")


async def test_another_run_begins_anew_once_the_unfinished_one_may_go(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:12 hold:4")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        await room.press("enter")
        await long(room, lambda: "step 4 of 12" in line(screen, "figures"))
        await room.press("s")
        await long(room, lambda: screen.phase == "over")
        monkeypatch.setenv("STUB_RUN", "steps:6")
        await room.press("n")
        await long(room, lambda: screen._plan is not None)
        await room.press("enter")
        await room.dialog(Choice)
        await room.press("escape")
        assert screen.phase == "choosing"
        assert RunFolder("stories").unfinished
        await room.press("enter")
        await room.dialog(Choice)
        await room.press("n")
        await long(room, lambda: screen.phase == "over" and "6 of 6" in line(screen, "figures"))
        assert [step for step, _ in room.app.training.progress.losses] == list(range(1, 7))
        assert not RunFolder("stories").unfinished


async def test_a_run_that_lies_there_may_go_on_instead_of_another(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:12 fail")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        await room.press("enter")
        await long(room, lambda: screen.phase == "over")
        monkeypatch.setenv("STUB_RUN", "steps:12")
        await room.press("n")
        await long(room, lambda: screen._plan is not None)
        await room.press("enter")
        await room.dialog(Choice)
        await room.press("enter")
        await long(room, lambda: screen.phase == "over" and "12 of 12" in line(screen, "figures"))
        assert [step for step, _ in room.app.training.progress.losses] == list(range(1, 13))


@pytest.mark.parametrize(("key", "done"), [("s", "stopped at step"), ("p", "paused")])
async def test_what_is_asked_while_a_run_begins_is_not_forgotten(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch, key: str, done: str
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:12 hold:4 reads")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        await room.press("enter", key)
        await long(room, lambda: done in line(screen, "standing") + line(screen, "figures"))
        if key == "p":
            await room.press("s")
            await long(room, lambda: screen.phase == "over")


async def test_a_run_outlives_the_app_and_is_found_again(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:12 hold:6")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        await room.press("enter")
        await long(room, lambda: "step 6 of 12" in line(screen, "figures"))
    async with open_room(novel) as room:
        room.app._look_for_training()
        await long(room, lambda: "training stories 50 %" in room.line("status"))
        screen = await training(room)
        assert screen.phase == "going"
        assert "step 6 of 12" in line(screen, "figures")
        (RunFolder("stories").path / "let-go").touch()
        await long(room, lambda: screen.phase == "over")
    async with open_room(novel) as room:
        screen = await training(room)
        assert screen.phase == "over"
        assert "is learned" in line(screen, "standing")
        assert not any("learned" in notice for notice in room.app.notices)


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        ("steps:12 fail", "not a number any more"),
        ("steps:12 vanish", "ended with code 9"),
    ],
)
async def test_a_run_that_fails_says_why_and_can_go_on(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch, orders: str, said: str
) -> None:
    monkeypatch.setenv("STUB_RUN", orders)
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        await room.press("enter")
        await long(room, lambda: said in line(screen, "standing"))
        assert screen.phase == "over"
        assert "r go on" in line(screen, "hints")
        await room.press("escape")
        assert "ended without a result" in room.app.notices[-1]
    async with open_room(novel) as room:  # nobody knows its exit code any more
        screen = await training(room)
        assert screen.phase == "over"
        assert line(screen, "standing").strip()


async def test_what_cannot_be_planned_is_said(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "refuse")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "too few texts for stories" in plan(screen))
        await room.press("enter")
        assert screen.phase == "choosing"


async def test_another_genre_without_texts_asks_for_some_and_gets_them(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from storyteller.genres import add_genre

    add_genre("haiku")
    monkeypatch.setenv("STUB_RUN", "steps:2")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: "412 texts" in plan(screen))
        await room.press("g")
        await room.dialog(Picker)
        await room.press(*"haik", "enter")
        await room.until(lambda: "There are no texts for haiku" in plan(screen))
        await room.press("a")
        dialog = await room.dialog(FolderPicker)
        dialog.query_one(Input).value = str(poems)
        await room.press("enter")
        await long(room, lambda: "412 texts" in plan(screen))
        assert shelf.registered("haiku") == (poems,)
        await room.press("x")
        await room.until(lambda: "There are no texts for haiku" in plan(screen))
        assert shelf.registered("haiku") == ()
    assert files_in(poems) == ["one.txt"]


async def test_hostile_words_of_a_run_are_shown_as_text(  # safety 44, 78
    novel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:6 hostile")
    folder = tmp_path / "[red]\x1b]0;t\x07"
    folder.mkdir()
    shelf.add("stories", [folder])
    async with open_room(novel, size=(160, 50)) as room:
        screen = await training(room)
        await long(room, lambda: "[/red][@click=app.quit]x[/]" in plan(screen))
        rows = [str(option.prompt) for option in screen.query_one(OptionList).options]
        assert "[red]" in rows[0]
        shown = rows[0] + plan(screen)
        await room.press("enter")
        await long(room, lambda: screen.phase == "over")
        assert "[/red]" in samples(screen)
        shown += samples(screen) + line(screen, "top") + line(screen, "standing")
        assert not set(shown) & CONTROLS


@pytest.mark.parametrize("size", [(160, 50), (80, 24), (40, 24), (30, 10)])
async def test_every_size_has_room_for_curve_and_samples(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:30")
    async with open_room(novel, size=size) as room:
        screen = await training(room)
        await long(room, lambda: screen._plan is not None)
        await room.press("enter")
        await long(room, lambda: screen.phase == "over")
        curve, texts = screen.query_one("#perplexity"), screen.query_one("#samples")
        assert curve.region.height > 0
        assert texts.region.height > 0
        assert (texts.region.x > curve.region.x) == (size[0] >= 100)
        assert screen.query_one("#loss").display == (size[1] >= 30)
        assert screen.region.contains_region(texts.region)
        assert "Esc" in line(screen, "hints")


async def test_curves_wear_every_theme(novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:30")
    async with open_room(novel) as room:
        screen = await training(room)
        await long(room, lambda: screen._plan is not None)
        await room.press("enter")
        await long(room, lambda: screen.phase == "over")
        for name in room.app.available_themes:
            room.app.use_theme(name)
            await room.settle()
            curve = screen.query_one("#perplexity", Curve)
            assert any("⠒" in segment.text or "⠤" in segment.text for segment in rendered(curve)), name


async def in_trial(room: OpenRoom) -> TrialScreen:
    """The trial of a run that is over, with nothing asked before it."""
    room.app.model = replace(
        room.app.model, ready=msgspec.structs.replace(READY, adapters=("noir", "stories"))
    )
    screen = await training(room)
    await long(room, lambda: screen._plan is not None)
    await room.press("enter")
    await long(room, lambda: screen.phase == "over")
    room.engine.received.clear()
    await room.press("t")
    trial = await room.dialog(TrialScreen)
    assert isinstance(trial, TrialScreen)
    return trial


def generations(room: OpenRoom) -> list[Generate]:
    return [one for one in room.engine.received if isinstance(one, Generate)]


async def test_base_and_adapter_are_two_takes_of_one_request_with_the_same_seed(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:2")
    both = Reply(texts=(" It was late.", " The moon is up."))
    async with open_room(novel, script=[both, " Stronger.", " Stronger still."], pace=0.0) as room:
        trial = await in_trial(room)
        await long(room, lambda: trial.texts == both.texts)
        (asked,) = generations(room)
        assert asked.take_adapters == ((), (AdapterWeight("stories"),))
        assert asked.seeds[0] == asked.seeds[1]
        assert asked.context.text == "She read it twice."
        await room.press("right", "right")
        await long(room, lambda: trial.texts == (" It was late.", " Stronger still."))
        weaker, stronger = generations(room)[1:]
        assert (weaker.takes, weaker.adapters) == (1, (AdapterWeight("stories", 1.1),))
        assert (stronger.takes, stronger.adapters) == (1, (AdapterWeight("stories", 1.2),))
        assert stronger.seeds == asked.seeds[:1]
        await room.press("enter")
        assert room.app.screen is room.room
        room.room.quiet()
        await room.settle()
        assert "stories 1.2" in room.line("status")
        assert room.room.prompter.adapters == (AdapterWeight("stories", 1.2),)


async def test_another_weight_before_the_base_is_done_asks_for_both_again(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:2")
    both = Reply(texts=(" It was late.", " The moon is up."))
    async with open_room(novel, script=[both], pace=None) as room:
        trial = await in_trial(room)
        await room.engine.step(2)
        await room.press("right")
        await room.engine.finish()
        await room.until(lambda: trial.texts == both.texts)
        first, second = generations(room)
        assert second.take_adapters == ((), (AdapterWeight("stories", 1.1),))
        assert second.seeds == first.seeds


async def test_a_search_which_has_one_mix_a_request_is_asked_twice(
    novel: Path, poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RUN", "steps:2")
    genres_path().parent.mkdir(parents=True)
    genres_path().write_text('[stories]\npreset = "beams"\n')
    presets_path().write_text('[beams]\nmethod = "beam"\n')
    async with open_room(novel, script=[" It was late.", " The moon is up."], pace=0.0) as room:
        trial = await in_trial(room)
        await long(room, lambda: trial.texts == (" It was late.", " The moon is up."))
        base, adapted = generations(room)
        assert (base.take_adapters, adapted.take_adapters) == ((), ())
        assert (base.adapters, adapted.adapters) == ((), (AdapterWeight("stories"),))
        assert base.seeds == adapted.seeds


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def training_again(room: OpenRoom) -> TrainingScreen:
    screen = await room.dialog(TrainingScreen)
    assert isinstance(screen, TrainingScreen)
    return screen


def rendered(curve: Curve) -> list[Segment]:
    """What the widget paints."""
    return [segment for y in range(curve.size.height) for segment in curve.render_line(y)]
