"""What can be done on the training screen now, and in what words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from storyteller.tui.training.progress import Progress

Phase: TypeAlias = Literal["choosing", "going", "over"]


@dataclass(frozen=True)
class Now:
    """How things stand.

    Attributes:
        planned: a dry run said what would be done.
        own_texts: the texts are the writer's, so they can be taken away.
        adapter: the open model has an adapter for the genre.
    """

    phase: Phase
    progress: Progress
    planned: bool = False
    own_texts: bool = False
    adapter: bool = False

    @property
    def resumable(self) -> bool:
        """Whether the run ended before its end."""
        return self.phase == "over" and (self.progress.finished is None or self.progress.stopped is not None)


def possible(now: Now) -> dict[str, str]:
    """The acts that can be done, by their ids, with the words of the hint line."""
    match now.phase:
        case "choosing":
            return {
                **({"training.start": "start"} if now.planned else {}),
                "training.genre": "genre",
                "training.add": "add texts",
                **({"training.forget": "take away"} if now.own_texts else {}),
                "training.leave": "back",
            }
        case "going":
            return {
                "training.pause": "go on" if now.progress.paused else "pause",
                "training.stop": "stop and keep the best",
                **({"training.try": "try it"} if now.adapter else {}),
                "training.leave": "back, it goes on",
            }
        case "over":
            return {
                **({"training.try": "try it beside the base"} if now.adapter else {}),
                **({"training.resume": "go on with it"} if now.resumable else {}),
                "training.new": "another run",
                "training.genre": "genre",
                "training.leave": "back",
            }
