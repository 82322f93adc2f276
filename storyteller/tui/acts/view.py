"""The look of the room, the help, and the program itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content

from storyteller.errors import SettingsError
from storyteller.text import display_text
from storyteller.tui.acts.act import Act

if TYPE_CHECKING:
    from storyteller.tui.room import Room


def toggle_focus(room: Room) -> None:
    """Nothing but the page, or the lines back."""
    room.set_focus_mode(on=not room.has_class("-focus"))


def toggle_typewriter(room: Room) -> None:
    """Hold the line being written at one height, or not."""
    room.page.typewriter = not room.page.typewriter
    room.storyteller.keep_setting("typewriter", room.page.typewriter)


def toggle_origins(room: Room) -> None:
    """Colour the text by who wrote it, or not."""
    room.page.origins = not room.page.origins
    room.storyteller.keep_setting("origin_colours", room.page.origins)


def toggle_hints(room: Room) -> None:
    """Show the line of keys, or not."""
    shown = room.has_class("-no-hints")
    room.set_class(not shown, "-no-hints")
    room.storyteller.keep_setting("hints", shown)


async def pick_theme(room: Room) -> None:
    """Choose a theme and see it while choosing."""
    from storyteller.tui.dialogs.picker import Picker, Row

    app = room.storyteller
    before = app.theme
    own = ("lamplight", "paper")
    names = [*own, *sorted(name for name in app.available_themes if name not in own)]
    rows = [Row(name, name, "dark" if app.available_themes[name].dark else "light") for name in names]
    picked = await room.asked(Picker("Theme", rows, picked=before, looked_at=app.use_theme))
    app.use_theme(picked or before)
    if picked is not None:
        app.keep_setting("theme", picked)


async def show_help(room: Room) -> None:
    """Every act and its keys."""
    from storyteller.tui.acts import ACTS
    from storyteller.tui.dialogs.reading import Reading
    from storyteller.tui.help import help_text

    await room.asked(Reading("storyteller", help_text(ACTS, room.keymap)))


async def show_notices(room: Room) -> None:
    """What was said in the status line, all of it."""
    from storyteller.tui.dialogs.reading import Reading

    lines = [Content(display_text(sentence)) for sentence in reversed(room.storyteller.notices)]
    await room.asked(Reading("What was said", Content("\n\n").join(lines or [Content("Nothing yet.")])))


async def write_keymap(room: Room) -> None:
    """Make a key map file to edit, unless there is one, and say where it is.

    Raises:
        SettingsError: it cannot be made.
    """
    from storyteller.atomic import write_atomic
    from storyteller.tui.acts import ACTS
    from storyteller.tui.keymap import keymap_path, keymap_template

    path = keymap_path()
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, keymap_template(ACTS).encode())
    except OSError as error:
        raise SettingsError(
            f"The key map cannot be written: {path} ({error.strerror or error}). Change its folder's permissions."
        ) from error
    room.say(f"Your keys are in {path}: edit it and start storyteller again.")


def suspend(room: Room) -> None:
    """Back to the shell; `fg` returns here."""
    room.secure()
    room.app.action_suspend_process()


VIEW_ACTS: Final = (
    Act("view.focus", "Focus mode", toggle_focus, "f11", about="Nothing but the page."),
    Act(
        "view.typewriter",
        "Typewriter scrolling",
        toggle_typewriter,
        about="The line being written stays put.",
    ),
    Act("view.origins", "Colours of who wrote what", toggle_origins),
    Act("view.hints", "Line of keys", toggle_hints),
    Act("view.theme", "Theme", pick_theme, about="Lamplight, paper, or another."),
    Act(
        "app.palette",
        "Everything one can do",
        lambda room: room.app.action_command_palette(),
        "ctrl+p",
        listed=False,
    ),
    Act("app.help", "Help", show_help, "f1", about="All keys."),
    Act("app.notices", "What was said", show_notices, "f10", about="The notices of the status line."),
    Act("app.keys", "Change the keys (key map)", write_keymap, about="Makes a keymap.toml to edit."),
    Act("app.suspend", "Back to the shell for a while", suspend, about="`fg` returns."),
)
