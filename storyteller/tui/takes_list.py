"""The list of takes without its screen: which takes stand in it, in what words, and how two of them differ. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.engine.settings import SamplerSettings
from storyteller.uuid7 import made_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storyteller.engine.presets import Preset
    from storyteller.manuscript.takes import ShownTake, TakeTree

OWN_SETTINGS: Final = "own settings"
_FINISH: Final = {
    None: "growing",
    "length": "ended at its length",
    "stop": "ended on a sentence",
    "eos": "ended by the model",
    "cancelled": "stopped",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400  # seconds
_WORD: Final = re.compile(r"\S+")
_FIRST: Final = 240  # characters of a take that may stand in its row


@dataclass(frozen=True)
class Entry:
    """A take of the list.

    Attributes:
        number, count: which of how many takes of its place, the oldest first.
        times: how often its text came up there.
    """

    take: ShownTake
    number: int
    count: int
    times: int

    @property
    def newest(self) -> bool:
        """The last one of its place."""
        return self.number == self.count

    @property
    def first_words(self) -> str:
        """How it begins, on one line."""
        return " ".join(self.take.text[:_FIRST].split())


@dataclass(frozen=True)
class Around:
    """What the words about a take refer to: the presets there are, the time, and the id of this session."""

    presets: Mapping[str, Preset]
    now: float
    session: str

    def preset(self, take: ShownTake) -> str:
        """The preset a take was written with."""
        try:
            settings = msgspec.convert(take.settings, SamplerSettings, str_keys=True)
        except msgspec.ValidationError:  # kept by a version that knew other settings
            return OWN_SETTINGS
        return next(
            (name for name, preset in self.presets.items() if preset.settings == settings), OWN_SETTINGS
        )

    def when(self, take: ShownTake) -> str:
        """How long ago it was asked for, and whether in an earlier session."""
        made = made_at(take.id)
        if made is None:
            return ""
        return ago(made, self.now) + (", an earlier session" if take.id < self.session else "")


def entries_at(tree: TakeTree, offset: int) -> list[Entry]:
    """The takes of one place, oldest first; of equal texts the oldest."""
    takes = tree.at(offset)
    return [Entry(take, number, len(takes), tree.times(take)) for number, take in enumerate(takes, 1)]


def entries_of_all(tree: TakeTree) -> list[Entry]:
    """The takes of all places, in the order of the text."""
    places = dict.fromkeys(offset for _, offset in tree.anchors())
    return [entry for offset in places for entry in entries_at(tree, offset)]


def probability(take: ShownTake) -> str:
    """Its mean probability a token; nothing for one that was cut off."""
    return "" if take.mean_logprob is None else f"{math.exp(take.mean_logprob):.2f}"


def row_words(entry: Entry, around: Around) -> list[str]:
    """What stands under the first words of a take: the more telling first, since a narrow row is cut."""
    take = entry.take
    return [
        words
        for words in (
            "newest" if entry.newest and entry.count > 1 else "",
            probability(take) or _FINISH[take.finish],
            f"{entry.times} times" if entry.times > 1 else "",
            around.when(take),
            around.preset(take),
            f"seed {take.seed}",
        )
        if words
    ]


def particulars(entry: Entry, around: Around) -> list[str]:
    """All there is to say about a take."""
    take = entry.take
    likely = probability(take)
    seen = f"seen for {take.shown_ms / 1000:.0f} s" if take.shown_ms >= 500 else "hardly seen"
    return [
        words
        for words in (
            f"take {entry.number} of {entry.count}",
            f"came up {entry.times} times" if entry.times > 1 else "",
            f"mean probability {likely}" if likely else "",
            f"{len(take.ids)} tokens" if take.ids else "",
            _FINISH[take.finish],
            seen if take.shown_ms else "never seen",
            around.when(take),
            take.model,
            take.genre,
            around.preset(take),
            f"seed {take.seed}",
        )
        if words
    ]


def ago(then: float, now: float) -> str:
    """How long before `now` a moment was, in words; both in seconds since 1970."""
    seconds = max(0.0, now - then)
    if seconds < _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min ago"
    if seconds < _DAY:
        return f"{seconds // _HOUR:.0f} h ago"
    day, today = datetime.fromtimestamp(then), datetime.fromtimestamp(now)
    return f"{day.day} {day:%B}" if day.year == today.year else f"{day.day} {day:%B %Y}"


def differing(text: str, other: str) -> list[tuple[int, int]]:
    """The stretches of `text`, in characters, whose words are not in `other` at that place."""
    words = list(_WORD.finditer(text))
    matcher = SequenceMatcher(
        None, [word[0] for word in words], [word[0] for word in _WORD.finditer(other)], autojunk=False
    )
    return [
        (words[first].start(), words[last - 1].end())
        for tag, first, last, _, _ in matcher.get_opcodes()
        if tag != "equal" and first < last
    ]
