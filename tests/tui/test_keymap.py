"""Keys: defaults, the writer's file, conflicts, and that Textual obeys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.events import Key
from textual.widgets import Input

from storyteller.tui.acts import ACTS, BY_ID
from storyteller.tui.help import help_text
from storyteller.tui.hints import HINTS, hint_pieces
from storyteller.tui.keymap import keymap_path, keymap_template, load_keymap, shown_key
from tests.stubs.open_room import open_room

if TYPE_CHECKING:
    from pathlib import Path


def write_keymap(text: str) -> None:
    keymap_path().parent.mkdir(parents=True, exist_ok=True)
    keymap_path().write_text(text, encoding="utf-8")


def test_without_a_file_every_act_has_its_default_keys() -> None:
    keymap = load_keymap(ACTS)
    assert keymap.warnings == ()
    assert keymap.for_textual(ACTS) == {}
    assert keymap.keys(BY_ID["offer.next"]) == ("f8", "alt+down")
    assert keymap.shown(BY_ID["page.accept-word"]) == "^→"


def test_ids_are_unique_and_no_key_is_given_out_twice_by_accident() -> None:
    assert len(BY_ID) == len(ACTS)
    assert load_keymap(ACTS).warnings == ()


def test_no_act_needs_alt_alone() -> None:
    for act in ACTS:
        keys = act.keys.split(",")
        assert not act.keys or not all(key.startswith("alt+") for key in keys), act.id


def test_control_c_only_ever_copies() -> None:
    assert {act.id for act in ACTS if "ctrl+c" in act.keys.split(",")} == {"page.copy", "list.copy"}


def test_a_file_moves_keys_and_takes_them_from_defaults() -> None:
    write_keymap('"page.another" = "f24"\n[offer]\nnext = ["f2", "ctrl+n"]\n')
    keymap = load_keymap(ACTS)
    assert keymap.keys(BY_ID["offer.next"]) == ("f2", "ctrl+n")
    assert keymap.keys(BY_ID["page.another"]) == ("f24",)
    assert keymap.keys(BY_ID["file.new"]) == ()
    assert keymap.warnings == ("keymap.toml: ctrl+n is offer.next; file.new goes without it.",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[offer]\nnxt = "f2"', "there is nothing called offer.nxt. Perhaps offer.next?"),
        ('[offer]\nnext = "a"', "would take a letter from your typing"),
        ('[offer]\nnext = "+"', "would take a letter from your typing"),
        ('[offer]\nnext = "slash"', "would take a letter from your typing"),
        ('[offer]\nnext = "ctrl+nonsense"', "is no key"),
        ('[offer]\nnext = "hyperx+a"', "is no key"),
        ("[offer]\nnext = 5", "needs a key"),
        ("[offer]\nnext = []", "needs at least one key"),
        ('[offer]\nnext = "f2"\nprevious = "f2"', "f2 is offer.next; offer.previous goes without it"),
        ("[offer", "is not TOML"),
        ('"\\u001b[2J" = "f2"', "there is nothing called ␛[2J"),
    ],
)
def test_a_mistake_is_one_line_and_the_rest_holds(text: str, says: str) -> None:
    """safety 77"""
    write_keymap(text)
    keymap = load_keymap(ACTS)
    assert len(keymap.warnings) == 1
    assert says in keymap.warnings[0]
    assert "\x1b" not in keymap.warnings[0]
    assert keymap.keys(BY_ID["file.save"]) == ("ctrl+s",)


def test_acts_that_share_a_key_may_move_together() -> None:
    write_keymap('[page]\naccept = "f2"\ncontinue = "f2"\n')
    keymap = load_keymap(ACTS)
    assert keymap.warnings == ()
    assert keymap.for_textual(ACTS) == {"page.accept": "f2", "page.continue": "f2"}


def test_moving_one_of_two_names_both_to_textual() -> None:
    write_keymap('[page]\naccept = "f2"\n')
    assert load_keymap(ACTS).for_textual(ACTS) == {"page.accept": "f2", "page.continue": "tab"}


def test_the_template_changes_nothing_and_names_every_act() -> None:
    template = keymap_template(ACTS)
    write_keymap(template)
    assert load_keymap(ACTS).warnings == ()
    assert load_keymap(ACTS).for_textual(ACTS) == {}
    write_keymap(
        "\n".join(line.removeprefix("# ") if ' = ["' in line else line for line in template.splitlines())
    )
    keymap = load_keymap(ACTS)
    assert keymap.warnings == ()
    assert keymap.moved == frozenset()
    write_keymap(template.replace('# find = ["ctrl+f"]', 'find = ["alt+f"]'))
    assert load_keymap(ACTS).moved == {"find.find"}


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("ctrl+right", "^→"),
        ("f11", "F11"),
        ("shift+f3", "⇧F3"),
        ("escape", "Esc"),
        ("alt+up", "Alt+↑"),
        ("tab", "Tab"),
    ],
)
def test_keys_are_shown_short(key: str, shown: str) -> None:
    assert shown_key(key) == shown


def test_every_hint_names_an_act_that_exists_with_a_key() -> None:
    keymap = load_keymap(ACTS)
    for state, hints in HINTS.items():
        for act_id, _ in hints:
            assert act_id in BY_ID, state
            assert keymap.shown(BY_ID[act_id]), act_id
        assert hint_pieces(state, BY_ID, keymap)[0]


def test_hints_follow_the_key_map() -> None:
    write_keymap('[page]\ncontinue = "f2"\n')
    left, _ = hint_pieces("idle", BY_ID, load_keymap(ACTS))
    assert left[0].text == "F2 write on"


def test_the_help_names_every_act_with_its_keys() -> None:
    keymap = load_keymap(ACTS)
    text = help_text(ACTS, keymap).plain
    for act in ACTS:
        assert act.title in text
    assert "^R" in text


def test_a_plus_is_a_key_too() -> None:
    write_keymap('[braid]\nadd = ["+", "ctrl++"]\n')
    keymap = load_keymap(ACTS)
    assert keymap.warnings == ()
    assert keymap.keys(BY_ID["braid.add"]) == ("plus", "ctrl+plus")


async def test_a_moved_key_works_and_the_old_one_does_not() -> None:
    write_keymap('[page]\ncontinue = "f2"\naccept = "f2"\n[view]\nfocus = "f9"\n')
    async with open_room(None, script=[" Then she left."]) as room:
        await room.press("H", "i", "tab")
        assert room.room.prompter.asking is None
        await room.press("f2")
        await room.stream()
        await room.press("f2")
        assert room.text == "Hi Then she left."
        await room.press("end", "f9")
        assert room.room.has_class("-focus")
        await room.press("f11")
        assert room.room.has_class("-focus")


async def test_a_letter_with_alt_acts_where_it_is_bound_and_else_is_the_letter() -> None:
    write_keymap('[page]\ncontinue = "alt+n"\naccept = "alt+n"\n')
    async with open_room(None, script=[" Then she left."]) as room:
        for key in (
            Key("H", "H"),
            Key("i", "i"),
            Key("alt+n", "n"),
        ):  # as a terminal sends Escape and n at once
            room.app.post_message(key)
        await room.settle()
        await room.stream()
        assert (room.text, room.offered) == ("Hi", " Then she left.")
        room.app.post_message(Key("alt+n", "n"))
        await room.until(lambda: room.text == "Hi Then she left.")
        room.app.post_message(Key("alt+m", "m"))
        await room.until(lambda: room.text == "Hi Then she left.m")


async def test_letters_without_ink_are_looked_for_too() -> None:
    async with open_room(None) as room:
        await room.press("a", "b", "ctrl+f")
        for key in (Key("a", "a"), Key("ideographic_space", "\u3000")):
            room.app.post_message(key)
        field = room.room.query_one("#find-text", Input)
        await room.until(lambda: field.value == "a\u3000")


async def test_a_mistake_in_the_file_is_said_in_the_status_line() -> None:
    write_keymap('[offer]\nnxt = "f2"')
    async with open_room(None) as room:
        assert "offer.nxt" in room.line("status")


@pytest.fixture
def no_config(home: Path) -> None:
    """A file stands where the settings' folder should be."""
    home.mkdir()
    (home / "config").touch()


@pytest.mark.usefixtures("no_config")
async def test_a_key_map_that_cannot_be_written_is_one_sentence() -> None:
    # safety 23
    async with open_room(None) as room:
        room.room.act("app.keys")
        await room.until(lambda: any("key map cannot be written" in said for said in room.app.notices))
        assert room.app.screen is room.room
