"""Looking for something in the text, and going to a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storyteller.errors import UserError
from storyteller.tui.acts.act import Act

if TYPE_CHECKING:
    from storyteller.tui.room import Room


async def find(room: Room) -> None:
    """Open the find line."""
    await room.open_find(replacing=False)


async def replace(room: Room) -> None:
    """Open the find line with the one for replacements."""
    await room.open_find(replacing=True)


async def find_next(room: Room) -> None:
    """The next match; asks what for where nothing was looked for."""
    await room.step_find(1)


async def find_previous(room: Room) -> None:
    """The match before."""
    await room.step_find(-1)


async def go_to_line(room: Room) -> None:
    """Ask for a line and go there."""
    from storyteller.tui.dialogs.entry import Entry

    lines = room.page.document.line_count
    written = await room.asked(Entry("Go to line", text=f"There are {lines:,}.", check=_number))
    if written is not None:
        room.page.go_to_line(_number(written))


def can_write(room: Room) -> bool:
    """Whether the page is more than for reading."""
    return not room.page.read_only


def _number(written: str) -> int:
    """A line number.

    Raises:
        UserError: it is none.
    """
    digits = written.strip().replace(",", "")
    if not digits.isdecimal() or len(digits) > 9:
        raise UserError("Write the number of a line.")
    return int(digits)


FIND_ACTS: Final = (
    Act("find.find", "Find", find, "ctrl+f"),
    Act("find.replace", "Find and replace", replace, "f4", when=can_write),
    Act("find.next", "Next match", find_next, "f3"),
    Act("find.previous", "Previous match", find_previous, "shift+f3"),
    Act("find.line", "Go to line", go_to_line, "ctrl+l"),
)
