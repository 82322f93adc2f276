"""The lines, focus mode, finding, pickers, palette: what one sees and how it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.command import CommandPalette
from textual.widgets import Input, OptionList

from storyteller import paths
from storyteller.config import Settings, load_settings
from storyteller.engine.protocol import Generate
from storyteller.tui.acts import BY_ID
from storyteller.tui.dialogs.entry import Entry
from storyteller.tui.dialogs.manner import MannerDialog
from storyteller.tui.dialogs.picker import Picker
from storyteller.tui.dialogs.reading import Reading
from storyteller.tui.dialogs.samplers import SamplersDialog
from storyteller.tui.findbar import FindBar
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "# The Second Letter\n\nThe lamp had burned low. The letter lay there.\n"


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text(TEXT, encoding="utf-8")
    return path


async def test_the_top_line_names_file_chapter_and_words(novel: Path) -> None:
    async with open_room(novel) as room:
        assert room.line("top").split("   ")[0].strip() == "novel.md"
        assert "The Second Letter" in room.line("top")
        assert "12 words" in room.line("top")
        await room.press("ctrl+end", "O", "n", "e", "space", "t", "w", "o")
        assert "14 words" in room.line("top")
        assert "+2 today" in room.line("top")
        assert room.line("status").rstrip().endswith("4:8")


async def test_the_days_words_count_on_over_openings_and_towards_a_goal(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+end", "O", "n", "e", "ctrl+s")
        await room.until(lambda: "Saved" in room.line("status"))
    async with open_room(novel, settings=Settings(consent="no", daily_goal=500)) as room:
        await room.press("ctrl+end", "space", "t", "w", "o")
        assert "2 of 500 today" in room.line("top")


@pytest.mark.parametrize("width", [40, 60, 100, 200])
async def test_the_room_fits_any_width(novel: Path, width: int) -> None:
    async with open_room(novel, size=(width, 20)) as room:
        for name in ("top", "status", "hints"):
            assert len(room.line(name)) <= width - 4
        assert "novel.md" in room.line("top")
        assert "fake" in room.line("status")
        assert "Tab write on" in room.line("hints")
        assert "F1" in room.line("hints")
        assert room.room.page.wrap_width <= min(width, 72)


async def test_an_empty_page_says_what_to_do(tmp_path: Path) -> None:
    async with open_room(None) as room:
        svg = room.app.export_screenshot()
        assert (
            "Write,&#160;then&#160;press&#160;Tab." in svg.replace("</text><text", "")
            or "rite,&#160;then&#160;press&#160;Tab." in svg
        )


async def test_focus_mode_leaves_the_page_alone_until_something_must_be_said(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("f11")
        lines = [room.room.query_one(f"#{name}") for name in ("top", "status", "hints")]
        assert not any(line.display for line in lines)
        room.room.say("Something happened.")
        await room.settle()
        assert [line.display for line in lines] == [False, True, False]
        room.room.quiet()
        await room.settle()
        assert not any(line.display for line in lines)
        await room.press("f11")
        assert all(line.display for line in lines)


async def test_settings_shape_the_page(novel: Path) -> None:
    settings = Settings(
        consent="no", focus=True, typewriter=True, column_width=50, theme="paper", hints=False
    )
    async with open_room(novel, settings=settings) as room:
        assert room.room.has_class("-focus")
        assert room.room.page.typewriter
        assert room.room.page.wrap_width == 50
        assert room.app.theme == "paper"
        assert not room.room.query_one("#hints").display


async def test_a_theme_that_does_not_exist_is_said_and_replaced(novel: Path) -> None:
    async with open_room(novel, settings=Settings(consent="no", theme="nowhere")) as room:
        assert room.app.theme == "lamplight"
        assert "There is no theme nowhere" in room.line("status")


async def test_unknown_genre_and_preset_are_said_and_replaced(novel: Path) -> None:
    async with open_room(novel, settings=Settings(consent="no", genre="nowhere", preset="nothing")) as room:
        assert room.room.manner.genre == "stories"
        assert any("There is no genre nowhere" in notice for notice in room.app.notices)
        assert any("There is no preset nothing" in notice for notice in room.app.notices)


@pytest.mark.parametrize("name", ["genres.toml", "presets.toml"])
async def test_a_broken_settings_file_is_one_sentence(novel: Path, name: str) -> None:
    """safety 77"""
    paths.config_dir().mkdir(parents=True)
    (paths.config_dir() / name).write_text("[[[", encoding="utf-8")
    async with open_room(novel) as room:
        assert any(name in notice for notice in room.app.notices)
        assert room.room.manner.preset.name == "balanced"


async def test_themes_are_seen_while_choosing_and_kept_when_chosen(novel: Path) -> None:
    async with open_room(novel) as room:
        room.room.act("view.theme")
        await room.dialog(Picker)
        await room.press("down")
        assert room.app.theme == "paper"
        await room.press("escape")
        assert room.app.theme == "lamplight"
        room.room.act("view.theme")
        await room.dialog(Picker)
        await room.press("p", "a", "p", "e", "r", "enter")
        await room.until(lambda: load_settings()[0].theme == "paper")
        assert room.app.theme == "paper"


async def test_every_theme_can_be_worn(novel: Path) -> None:
    async with open_room(novel) as room:
        for name in room.app.available_themes:
            room.app.use_theme(name)
            await room.settle()
        assert room.app.theme == name


async def test_the_row_one_looks_at_is_seen_without_colours(
    novel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # safety 32
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_room(novel) as room:
        for key in ("ctrl+g", "ctrl+p"):
            await room.press(key)
            await room.until(lambda: room.app.screen is not room.room)
            options = room.app.screen.query_one(OptionList)
            await room.until(lambda: options.highlighted == 0)  # noqa: B023  used at once
            marked, plain = (
                any(segment.style and segment.style.underline for segment in options.render_line(y))
                for y in (0, options.size.height - 1)
            )
            assert marked, key
            assert not plain, key
            await room.press("escape")


async def test_the_genre_is_picked_and_kept(novel: Path) -> None:
    async with open_room(novel, script=[" x"]) as room:
        await room.press("ctrl+g")
        await room.dialog(Picker)
        await room.press("p", "o", "e", "t", "enter")
        await room.until(lambda: room.room.manner.genre == "poetry")
        assert "poetry" in room.line("status")
        assert room.room.manner.preset.name == "poem"
        assert load_settings()[0].genre == "poetry"


async def test_the_sliders_change_what_is_asked(novel: Path) -> None:
    async with open_room(novel, script=[" x"]) as room:
        await room.press("f5")
        await room.dialog(MannerDialog)
        await room.press("down", "right", "right", "down", "right", "enter")
        await room.until(lambda: room.app.screen is room.room)
        assert "balanced*" in room.line("status")
        assert load_settings()[0].max_tokens == 80
        await room.press("tab")
        await room.stream()
        request = next(request for request in room.engine.received if isinstance(request, Generate))
        assert request.settings.temperature > 0.8
        assert request.stop.max_tokens == 80


async def test_the_next_document_is_written_in_the_same_manner_and_mode(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("f5")
        await room.dialog(MannerDialog)
        await room.press("down", "right", "right", "enter")
        await room.until(lambda: room.app.screen is room.room)
        manner = room.room.manner
        assert manner.name == "balanced*"
        await room.press("f11", "ctrl+f", "ctrl+n")
        await room.until(lambda: room.room.session.path is None and room.room.is_mounted)
        assert room.room.manner == manner
        assert room.room.has_class("-focus")


async def test_presets_dice_and_everything_else(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("f5")
        dialog = await room.dialog(MannerDialog)
        assert isinstance(dialog, MannerDialog)
        await room.press("right")
        assert dialog.manner.preset.name == "wild"
        await room.press("d")
        diced = dialog.manner.settings
        assert diced != dialog.manner.preset.settings
        await room.press("m")
        samplers = await room.dialog(SamplersDialog)
        options = samplers.query_one(OptionList)
        options.highlighted = options.get_option_index("temperature")
        await room.press("enter")
        entry = await room.dialog(Entry)
        entry.query_one(Input).value = "five"
        await room.press("enter")
        await room.until(lambda: "may only be a number" in str(entry.query_one(".alarm").render()))
        entry.query_one(Input).value = "0.33"
        await room.press("enter")
        await room.dialog(SamplersDialog)
        await room.press("escape")
        await room.dialog(MannerDialog)
        assert dialog.manner.settings.temperature == 0.33
        await room.press("escape")
        assert room.room.manner.name == "balanced"


async def test_finding_counts_steps_and_replaces_as_one_step(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("f4")
        bar = room.room.query_one(FindBar)
        await room.press(*"letter")
        await room.until(lambda: "2 found" in str(bar.query_one("#find-count").render()))
        await room.press("enter")
        await room.until(lambda: "1 of 2" in str(bar.query_one("#find-count").render()))
        await room.press("down")
        await room.until(lambda: "2 of 2" in str(bar.query_one("#find-count").render()))
        await room.press("f2")
        await room.until(lambda: "1 found" in str(bar.query_one("#find-count").render()) or bar.wanted.case)
        await room.press("tab", *"note", "ctrl+r")
        await room.until(lambda: "The note lay there." in room.text)
        assert "Second Letter" in room.text
        await room.press("escape")
        assert room.room.page.has_focus
        await room.press("ctrl+z")
        assert room.text == TEXT


async def test_a_selection_is_looked_for_as_it_is_and_not_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_bytes(b"a\tb\x07\nc\na\tb\x07\n")
    async with open_room(path) as room:
        await room.press("shift+end", "ctrl+f")
        count = room.room.query_one("#find-count")
        await room.until(lambda: "1 of 2" in str(count.render()))
        await room.press("c")
        await room.until(lambda: "1 found" in str(count.render()))


async def test_a_bad_pattern_is_explained_beside_the_question(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+f", "f9", "(")
        bar = room.room.query_one(FindBar)
        alarm = bar.query_one("#find-alarm")
        await room.until(lambda: "not a regular expression" in str(alarm.render()))
        assert alarm.region.height > 0
        assert bar.query_one("#find-text").region.width > 40, "what is being written stays in sight"
        await room.press("backspace", "l")
        await room.until(lambda: alarm.region.height == 0)


async def test_the_find_line_names_only_keys_that_do_something(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+f")
        assert "replace" not in room.line("hints")
        await room.press("escape", "f4")
        assert "^R replace all" in room.line("hints")


async def test_keys_of_the_page_do_not_reach_it_from_the_find_line(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+f", "x", "tab", "ctrl+right", "escape")
        assert room.text == TEXT
        assert room.room.prompter.asking is None


async def test_f3_looks_for_the_same_again(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+f", *"letter", "escape", "f3")
        await room.until(lambda: room.room.page.selected_text == "Letter")


async def test_going_to_a_line(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+l")
        entry = await room.dialog(Entry)
        entry.query_one(Input).value = "x"
        await room.press("enter")
        await room.until(lambda: "number" in str(entry.query_one(".alarm").render()))
        entry.query_one(Input).value = "3"
        await room.press("enter")
        await room.until(lambda: room.room.page.position == (3, 1))


async def test_the_palette_finds_acts_and_does_them(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("ctrl+p")
        await room.dialog(CommandPalette)
        await room.press(*"focus mode")
        options = room.app.screen.query_one(OptionList)
        await room.until(lambda: options.option_count)
        await room.press("enter")
        await room.until(lambda: room.room.has_class("-focus"))


async def test_the_palette_offers_every_listed_act_that_can_be_done(novel: Path) -> None:
    from storyteller.tui.palette import ActProvider

    async with open_room(novel) as room:
        provider = ActProvider(room.room)
        titles = [hit.text async for hit in provider.discover()]
        expected = [act.title for act in BY_ID.values() if act.listed and act.when(room.room)]
        assert titles == expected
        assert "Save" in titles
        assert "Quit" in titles


async def test_help_and_notices_open_and_close(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.press("f1")
        reading = await room.dialog(Reading)
        assert "What the model offers" in " ".join(str(widget.render()) for widget in reading.query("Static"))
        await room.press("escape")
        room.room.say("It said [b]this[/b].")
        await room.press("f10")
        reading = await room.dialog(Reading)
        assert "It said [b]this[/b]." in " ".join(str(widget.render()) for widget in reading.query("Static"))
        await room.press("escape")
        assert room.app.screen is room.room


async def test_a_long_notice_is_cut_and_says_where_the_rest_is(novel: Path) -> None:
    async with open_room(novel) as room:
        room.room.say("A sentence that goes on and on, " * 10)
        await room.settle()
        assert room.line("status").endswith("F10 all of it")


async def test_a_click_beside_everything_leaves_the_keyboard_with_the_page(novel: Path) -> None:
    async with open_room(novel) as room:
        await room.pilot.click("#status")
        await room.press("x")
        assert room.text.startswith("x")


async def test_the_key_map_file_is_made_once(novel: Path) -> None:
    async with open_room(novel) as room:
        room.room.act("app.keys")
        path = paths.config_dir() / "keymap.toml"
        await room.until(path.exists)
        path.write_text("# mine\n", encoding="utf-8")
        room.room.act("app.keys")
        await room.settle()
        assert path.read_text(encoding="utf-8") == "# mine\n"
