"""Teaching the model a genre."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from storyteller.tui.acts.act import Act, on_the_page, screen_acts
from storyteller.tui.training.keys import TRAINING_BINDINGS, TRIAL_BINDINGS

if TYPE_CHECKING:
    from storyteller.tui.room import Room


async def train(room: Room) -> None:
    """Teach the model a genre from texts, or see how that goes."""
    from storyteller.tui.training.screen import TrainingScreen
    from storyteller.tui.training.watch import genre_in_training

    app = room.storyteller
    watch = app.training
    if not watch.following:
        going = await asyncio.to_thread(genre_in_training)
        await watch.look(going or watch.genre or room.manner.genre)
    await app.refresh_adapters()
    await app.push_screen_wait(TrainingScreen(room, watch))
    room.refresh_lines()


TRAINING_ACTS: Final = (
    Act(
        "learn.train",
        "Train a genre: teach the model from texts",
        train,
        "ctrl+b",
        about="Choose texts, watch it learn, try it.",
        when=on_the_page,
    ),
)
TRAINING_SCREEN_ACTS: Final = tuple(screen_acts(TRAINING_BINDINGS, "training"))
TRIAL_ACTS: Final = tuple(screen_acts(TRIAL_BINDINGS, "trial"))
