"""What a writer does with offers that is not a key of the page itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storyteller.tui.acts.act import Act, on_the_page

if TYPE_CHECKING:
    from storyteller.tui.room import Room


def previous_take(room: Room) -> None:
    """The take before the one on the page, at this spot."""
    _step(room, -1)


def next_take(room: Room) -> None:
    """The take after the one on the page, at this spot."""
    _step(room, 1)


def _step(room: Room, by: int) -> None:
    if not room.prompter.step(by):
        room.flash(f"There is no other take of this spot yet: {room.key('page.another')} asks for one.")
    room.refresh_lines()


def is_asking(room: Room) -> bool:
    """Whether the model is at work for this document."""
    return room.prompter.asking is not None


def rate_up(room: Room) -> None:
    """Log that the take on the page is good."""
    _rate(room, "rate_up", "Noted: good.")


def rate_down(room: Room) -> None:
    """Log that the take on the page is bad."""
    _rate(room, "rate_down", "Noted: not good.")


def _rate(room: Room, kind: str, words: str) -> None:
    take = room.prompter.shown
    if take is not None:
        room.confirm(room.witness.did("rate_up" if kind == "rate_up" else "rate_down", take), words)


def _shows_take(room: Room) -> bool:
    return room.prompter.shown is not None


OFFER_ACTS: Final = (
    Act("offer.previous", "Previous take of this spot", previous_take, "f7,alt+up", when=on_the_page),
    Act("offer.next", "Next take of this spot", next_take, "f8,alt+down", when=on_the_page),
    Act("offer.stop", "Stop the model", lambda room: room.stop_stream(), when=is_asking),
    Act(
        "offer.rate_up", "This take is good", rate_up, about="Kept for teaching the model.", when=_shows_take
    ),
    Act(
        "offer.rate_down",
        "This take is bad",
        rate_down,
        about="Kept for teaching the model.",
        when=_shows_take,
    ),
)
