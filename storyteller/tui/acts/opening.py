"""What is asked when a document opens: is it open elsewhere, is there text to recover, may feedback be kept."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Final

from storyteller.feedback.consent import EVERYTHING
from storyteller.manuscript.recovery import discard

if TYPE_CHECKING:
    from storyteller.manuscript.lock import Owner
    from storyteller.manuscript.recovery import Recovery
    from storyteller.tui.room import Room

_CONSENT: Final = (
    "storyteller can keep what you accept and what you refuse, and what becomes of it, on this machine. "
    "It is what teaches the model to write for you. Nothing ever leaves the machine, and you can look at it, "
    "switch it off or erase it at any time: the palette has it under “learn”."
)


async def open_document(room: Room) -> None:
    """Everything between the first paint and the first key."""
    session = room.session
    if session.owner is not None and not await _open_elsewhere(room, session.owner):
        room.leave_document()
        room.app.exit()
        return
    if session.recoveries:
        await _recover(room)
    room.begin()
    for sentence in (session.read_only, session.trouble):
        if sentence:
            room.say(sentence)
    if room.storyteller.settings.consent == "ask":
        await ask_consent(room)


async def ask_consent(room: Room) -> None:
    """The one question of the first run."""
    from storyteller.tui.dialogs.choice import Answer, Choice

    feedback = room.storyteller.feedback
    if await feedback.consent(EVERYTHING) is not None:
        return
    answer = await room.asked(
        Choice(
            "May storyteller learn from what you keep?",
            _CONSENT,
            [Answer("yes", "y", "yes, keep it on this machine"), Answer("no", "n", "not now")],
            leave="ask me another time",
            unasked=True,
        )
    )
    if answer is None:
        return
    await feedback.set_consent(EVERYTHING, on=answer == "yes")
    room.storyteller.keep_setting("consent", answer)


async def _open_elsewhere(room: Room, owner: Owner) -> bool:
    """Ask whether two shall have it open. Whether to go on at all."""
    from storyteller.tui.dialogs.choice import Answer, Choice

    session = room.session
    since = datetime.fromtimestamp(owner.since).strftime("%H:%M")
    answer = await room.asked(
        Choice(
            f"{session.name} is open in another storyteller",
            f"Process {owner.pid} on {owner.host or 'this machine'} has had it since {since}. "
            "Two that write to one file overwrite each other.",
            [
                Answer("read", "r", "read it here, without writing"),
                Answer("open", "o", "open it anyway"),
                Answer("quit", "q", "leave it alone and quit"),
            ],
            unasked=True,
        )
    )
    if answer in {"read", None}:
        session.read_only = f"{session.name} is open in another storyteller, so it is for reading here."
        session.recoveries = []
    return answer != "quit"


async def _recover(room: Room) -> None:
    """Offer each recovery in turn, the newest first, until one is taken."""
    from storyteller.tui.dialogs.choice import Answer
    from storyteller.tui.dialogs.compare import Compare, differences

    session = room.session
    for recovery in session.recoveries:
        rows = await asyncio.to_thread(differences, session.opening_text, recovery.text)
        answer = await room.asked(
            Compare(
                f"There is text of {_name(recovery, room)} that was never saved",
                _particulars(recovery),
                [
                    Answer("recover", "r", "recover it: it comes on the page, and is not saved until you do"),
                    Answer("discard", "d", "throw it away"),
                ],
                rows=rows,
                old_name="in the file",
                new_name="never saved",
                leave="decide next time",
                unasked=True,
            )
        )
        if answer == "discard":
            discard(recovery)
        elif answer == "recover":
            room.recover(recovery)
            return


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
