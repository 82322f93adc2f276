"""Adapters mixed by faders, in the list of genres."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.config import load_settings
from storyteller.engine.fake import READY
from storyteller.engine.protocol import AdapterWeight, Generate
from storyteller.tui.dialogs.genre import GenrePicker
from storyteller.tui.mixing import Mix, as_setting, fader, from_setting, stepped, weight_words
from storyteller.tui.standing import mix_words
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stubs.open_room import OpenRoom


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.", encoding="utf-8")
    return path


async def picking(room: OpenRoom, *adapters: str) -> GenrePicker:
    """The list of genres, with these adapters on the shelf."""
    if adapters:
        ready = msgspec.structs.replace(READY, adapters=adapters)
        room.app.model = replace(room.app.model, ready=ready)
        room.room.model_changed()
    await room.press("ctrl+g")
    dialog = await room.dialog(GenrePicker)
    assert isinstance(dialog, GenrePicker)
    return dialog


async def asked(room: OpenRoom) -> tuple[AdapterWeight, ...]:
    """The adapters of the next request."""
    await room.press("tab")
    return next(one for one in reversed(room.engine.received) if isinstance(one, Generate)).adapters


async def test_a_mix_is_made_with_arrows_and_digits_and_kept(novel: Path) -> None:
    async with open_room(novel, script=[" x"]) as room:
        await picking(room, "noir", "stories")
        await room.press("8", "down", "down", "down", "right", "right", "right", "enter")
        mix = (AdapterWeight("stories", 0.8), AdapterWeight("noir", 0.3))
        assert "stories .8 + noir .3" in room.line("status")
        assert room.room.manner.genre == "stories"
        assert await asked(room) == mix
        room.room.model_changed()
        assert room.room.prompter.adapters == mix


async def test_a_genre_picked_alone_ends_the_mix(novel: Path) -> None:
    async with open_room(novel, script=[" x"]) as room:
        await picking(room, "poetry", "stories")
        await room.press("8", "enter")
        await picking(room)
        await room.press("down", "enter")
        await room.until(lambda: room.room.manner.genre == "poetry")
        assert await asked(room) == (AdapterWeight("poetry"),)


async def test_one_is_amplified_but_not_without_end(novel: Path) -> None:
    async with open_room(novel) as room:
        dialog = await picking(room, "stories")
        await room.press(*["right"] * 9)
        assert dialog.mix.weights == {"stories": 1.5}
        await room.press("enter")
        assert "stories 1.5" in room.line("status")


async def test_all_faders_down_is_the_base_alone(novel: Path) -> None:
    async with open_room(novel, script=[" x"]) as room:
        await picking(room, "stories")
        await room.press("0", "enter")
        assert room.room.prompter.adapters == ()
        assert await asked(room) == ()


async def test_an_adapter_that_is_no_genre_can_be_picked(novel: Path) -> None:
    async with open_room(novel) as room:
        await picking(room, "noir")
        await room.press(*"noir", "enter")
        assert room.room.prompter.adapters == (AdapterWeight("noir"),)
        assert room.room.manner.genre == "stories"


async def test_escape_leaves_everything(novel: Path) -> None:
    async with open_room(novel) as room:
        await picking(room, "noir", "stories")
        await room.press("3", "escape")
        assert room.room.prompter.adapters == (AdapterWeight("stories"),)


async def test_a_mix_is_there_again_the_next_time_if_all_of_it_is(novel: Path) -> None:
    mix = (AdapterWeight("stories", 0.8), AdapterWeight("noir", 0.3))
    async with open_room(novel) as room:
        await picking(room, "noir", "stories")
        await room.press("8", "down", "down", "down", "3", "enter")
        assert room.room.prompter.adapters == mix
    settings = msgspec.structs.replace(load_settings()[0], consent="no")
    async with open_room(novel, settings=settings) as room:
        assert not room.room.prompter.adapters  # a model without any
        dialog = await picking(room, "noir", "stories")
        assert room.room.prompter.adapters == mix
        assert dialog.mix.weights == {"noir": 0.3, "stories": 0.8}
        await room.press("escape")
        await picking(room, "stories")
        await room.press("escape")
        assert await asked(room) == (AdapterWeight("stories"),)


async def test_a_genre_picked_alone_is_what_is_there_the_next_time(novel: Path) -> None:
    async with open_room(novel) as room:
        await picking(room, "noir", "poetry", "stories")
        await room.press("0", "enter")
        assert load_settings()[0].mix == ()  # the base alone
        await picking(room)
        await room.press(*"noir", "enter")
        assert load_settings()[0].mix == ("noir=1",)
        await picking(room)
        await room.press("down", "enter")
        await room.until(lambda: room.room.manner.genre == "poetry")
        assert load_settings()[0].mix is None


@given(st.lists(st.tuples(st.sampled_from(["noir", "a-b_c", "x9"]), st.integers(0, 15)), max_size=4))
def test_a_mix_comes_back_as_it_was_kept(weights: list[tuple[str, int]]) -> None:
    mix = tuple(AdapterWeight(name, tenths / 10) for name, tenths in weights)
    kept = as_setting(mix)
    assert from_setting(kept, ["noir", "a-b_c", "x9"]) == mix
    assert from_setting(kept, []) == (None if mix else ())


def test_what_cannot_be_kept_is_not() -> None:
    assert as_setting([AdapterWeight("/a/folder")]) is None
    assert as_setting([AdapterWeight("noir", -1.0)]) is None
    assert from_setting(None, ["noir"]) is None


def test_a_fader_knows_where_it_is() -> None:
    assert fader(0) == "○─────────┼─────"
    assert fader(1) == "━━━━━━━━━━●─────"
    assert fader(1.5) == "━━━━━━━━━━┿━━━━●"
    assert stepped(0.25, 1) == pytest.approx(0.3)
    assert stepped(1.5, 1) == 1.5
    assert stepped(0, -1) == 0


def test_words_of_weights() -> None:
    assert [weight_words(weight) for weight in (0.0, 0.8, 1.0, 1.25, 1.5)] == ["0", ".8", "1", "1.25", "1.5"]
    assert mix_words("stories", (AdapterWeight("stories", 0.8), AdapterWeight("noir", 0.3))) == (
        "stories .8 + noir .3"
    )


def test_a_fader_put_where_it_was_was_not_moved() -> None:
    mix = Mix(["stories"], [AdapterWeight("stories", 0.5)])
    mix.put("stories", 0.5)
    mix.put("nobody", 1.0)
    assert mix.moved is False
    mix.move("stories", 1)
    assert mix.adapters == (AdapterWeight("stories", 0.6),)


def test_a_fader_that_was_moved_was_moved() -> None:
    mix = Mix(["stories"], [AdapterWeight("stories", 0.5)])
    mix.move("stories", 1)
    assert mix.moved
    assert mix.adapters == (AdapterWeight("stories", 0.6),)


async def test_a_new_adapter_is_written_with_where_the_mix_names_it_or_there_is_none(novel: Path) -> None:
    async with open_room(novel) as room:
        ready = msgspec.structs.replace(READY, adapters=("noir",))
        room.app.model = replace(room.app.model, ready=ready)
        assert room.room.will_write_with("stories")
        assert not room.room.will_write_with("poetry")
        room.room.mix((AdapterWeight("noir", 0.8),))
        assert not room.room.will_write_with("stories")
        assert room.room.will_write_with("noir")
        room.app.adapters = None  # as after a new start, when only the settings know the mix
        assert not room.room.will_write_with("stories")
        room.app.adapters = ()
        assert not room.room.will_write_with("stories")
