"""Text that was never saved: offered when its document opens, or sought later."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from storyteller.manuscript.recovery import discard, find_recoveries
from storyteller.tui.acts.act import Act

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storyteller.manuscript.recovery import Recovery
    from storyteller.tui.room import Room


async def offer_recoveries(
    room: Room,
    recoveries: Sequence[Recovery],
    present: str,
    recover: Callable[[Recovery], object],
    *,
    unasked: bool = False,
) -> None:
    """Show each recovery against the `present` text, the newest first, until the writer takes one: `recover` gets it."""
    from storyteller.tui.dialogs.choice import Answer
    from storyteller.tui.dialogs.compare import Compare, differences

    for recovery in recoveries:
        rows = await asyncio.to_thread(differences, present, recovery.text)
        answer = await room.asked(
            Compare(
                f"There is text of {_name(recovery, room)} that was never saved",
                _particulars(recovery),
                [
                    Answer("recover", "r", "recover it: it comes on the page, and is not saved until you do"),
                    Answer("discard", "d", "throw it away"),
                ],
                rows=rows,
                old_name="in the file" if unasked else "on the page",
                new_name="never saved",
                leave="decide next time",
                unasked=unasked,
            )
        )
        if answer == "discard":
            discard(recovery)
        elif answer == "recover":
            recover(recovery)
            return


async def seek(room: Room) -> None:
    """Offer what was never saved of this document, however old; what is taken can be undone."""
    remarks: list[str] = []
    find = partial(find_recoveries, room.session.path, include_older=True, on_skipped=remarks.append)
    recoveries = await asyncio.to_thread(find)
    for sentence in remarks:
        room.say(sentence)
    if recoveries:
        await offer_recoveries(room, recoveries, room.page.exact_text, room.replace_text)
    elif not remarks:
        room.flash("Nothing was kept for recovery here.")


def _can_write(room: Room) -> bool:
    return not room.page.read_only


RECOVERY_ACTS: Final = (
    Act(
        "file.recover",
        "Text that was never saved",
        seek,
        about="Recover it, however old it is.",
        when=_can_write,
    ),
)


def _name(recovery: Recovery, room: Room) -> str:
    return recovery.document.name if recovery.document is not None else room.session.name


def _particulars(recovery: Recovery) -> str:
    when = datetime.fromtimestamp(recovery.when).strftime("%d %B, %H:%M")
    parts = [f"From {when}."]
    if recovery.kind == "before":
        parts.append("It is what stood in the file before a save that was interrupted.")
    if not recovery.complete:
        parts.append("Its end is damaged: the last words may be missing.")
    if recovery.note:
        parts.append(recovery.note)
    return " ".join(parts)
