"""What is asked when a document opens: is it open elsewhere, is there text to recover, may feedback be kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from storyteller.feedback.consent import EVERYTHING
from storyteller.tui.acts.recovering import offer_recoveries

if TYPE_CHECKING:
    from storyteller.manuscript.lock import Owner
    from storyteller.tui.room import Room

_CONSENT: Final = (
    "storyteller can keep what you accept and what you refuse, and what becomes of it, on this machine. "
    "It is what teaches the model to write for you. Nothing ever leaves the machine. You can switch it off at any "
    "time (“learn” in the palette), and look at it or erase it (`storyteller feedback`)."
)


async def open_document(room: Room) -> None:
    """Everything between the first paint and the first key."""
    session = room.session
    if session.owner is not None and not await _open_elsewhere(room, session.owner):
        room.leave_document()
        room.app.exit()
        return
    await offer_recoveries(room, session.recoveries, session.opening_text, room.recover, unasked=True)
    room.begin()
    for sentence in (*session.remarks, session.read_only):
        if sentence:
            room.say(sentence)
    await _agree_again(room)
    if room.storyteller.settings.consent == "ask":
        await ask_consent(room)


async def _agree_again(room: Room) -> None:
    """A yes that only the settings know, by hand or because the library was set aside, is the library's again."""
    feedback = room.storyteller.feedback
    if room.storyteller.settings.consent == "yes" and await feedback.consent(EVERYTHING) is None:
        await feedback.set_consent(EVERYTHING, on=True)


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
