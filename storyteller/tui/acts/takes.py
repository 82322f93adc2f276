"""The takes of a place: several growing side by side, and all there were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storyteller.errors import SettingsError
from storyteller.tui.acts.act import Act, on_the_page, screen_acts
from storyteller.tui.lanes import FEWEST, MOST, Lanes
from storyteller.tui.takes_keys import BRAID_BINDINGS, LIST_BINDINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storyteller.engine.presets import Preset
    from storyteller.tui.room import Room


async def braid(room: Room) -> None:
    """Several takes side by side; what is kept of one comes into the text, and the rest of it stays on offer."""
    from storyteller.tui.braid import Braid

    room.quiet()
    lanes = room.running_braid
    if lanes is None:
        asking = room.prompter.ask(room.manner, takes=room.storyteller.settings.braid_lanes, show=False)
        room.stream(asking)
        lanes = room.braid = Lanes.of(asking.lanes)
    kept = await room.app.push_screen_wait(Braid(room, lanes))
    if kept is not None:
        room.prompter.offer(kept.take)
        room.page.accept_first(kept.characters)
    room.refresh_lines()


async def list_takes(room: Room) -> None:
    """The takes of this place, or where it has none of the whole text; one of them comes on the page again."""
    from storyteller.tui.takes_screen import TakesScreen

    tree, offset = room.prompter.gathered(), room.prompter.spot
    if not len(tree):
        room.flash("There are no takes yet.")
        return
    everywhere = not tree.at(offset)
    take = await room.app.push_screen_wait(TakesScreen(room, offset, _presets(), everywhere=everywhere))
    if take is not None:
        room.prompter.show(take)
    room.refresh_lines()


def _presets() -> Mapping[str, Preset]:
    from storyteller.engine.presets import load_presets, shipped_presets

    try:
        return load_presets()
    except SettingsError:  # the list needs their names only
        return shipped_presets()


async def pick_lanes(room: Room) -> None:
    """How many lanes the braid begins with."""
    from storyteller.tui.dialogs.picker import Picker, Row

    rows = [Row(str(count), f"{count} lanes") for count in range(FEWEST, MOST + 1)]
    picked = await room.asked(
        Picker("Lanes of the braid", rows, picked=str(room.storyteller.settings.braid_lanes))
    )
    if picked is not None:
        room.storyteller.keep_setting("braid_lanes", int(picked))


def _can_braid(room: Room) -> bool:
    return on_the_page(room) and not room.page.read_only


TAKES_ACTS: Final = (
    Act(
        "takes.braid",
        "Braid: several takes side by side",
        braid,
        "ctrl+t",
        about="Watch them grow, keep one.",
        when=_can_braid,
    ),
    Act(
        "takes.list",
        "Takes: all there were",
        list_takes,
        "f6",
        about="Of this place, or of the whole text.",
        when=on_the_page,
    ),
    Act("takes.lanes", "How many lanes the braid has", pick_lanes),
)
BRAID_ACTS: Final = tuple(screen_acts(BRAID_BINDINGS, "braid"))
LIST_ACTS: Final = tuple(screen_acts(LIST_BINDINGS, "list"))
