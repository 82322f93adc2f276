"""Everything a writer can do: one table for keys, palette, help and hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storyteller.tui.acts.files import FILE_ACTS
from storyteller.tui.acts.finding import FIND_ACTS
from storyteller.tui.acts.offers import OFFER_ACTS
from storyteller.tui.acts.page import PAGE_ACTS
from storyteller.tui.acts.recovering import RECOVERY_ACTS
from storyteller.tui.acts.takes import BRAID_ACTS, LIST_ACTS, TAKES_ACTS
from storyteller.tui.acts.training import TRAINING_ACTS, TRAINING_SCREEN_ACTS, TRIAL_ACTS
from storyteller.tui.acts.view import VIEW_ACTS
from storyteller.tui.acts.writing import WRITING_ACTS

if TYPE_CHECKING:
    from storyteller.tui.acts.act import Act

ROOM_ACTS: Final[tuple[Act, ...]] = (
    *OFFER_ACTS,
    *TAKES_ACTS,
    *FILE_ACTS,
    *RECOVERY_ACTS,
    *FIND_ACTS,
    *WRITING_ACTS,
    *TRAINING_ACTS,
    *VIEW_ACTS,
)
"""Bound by the room."""

ACTS: Final[tuple[Act, ...]] = (
    *PAGE_ACTS,
    *ROOM_ACTS,
    *BRAID_ACTS,
    *LIST_ACTS,
    *TRAINING_SCREEN_ACTS,
    *TRIAL_ACTS,
)
BY_ID: Final = {act.id: act for act in ACTS}
