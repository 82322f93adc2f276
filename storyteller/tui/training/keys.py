"""The keys of the training screen and of the comparison; each has an id, so that the writer's key map can change it."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType


def _binding(keys: str, action: str, does: str, name: str) -> Binding:
    return Binding(keys, action, does, show=False, id=name)


TRAINING_BINDINGS: Final[list[BindingType]] = [
    _binding("enter", "start", "Start the run that is shown", "training.start"),
    _binding("g", "genre", "Another genre", "training.genre"),
    _binding("a", "add", "Add a folder or file of texts", "training.add"),
    _binding("x,delete", "forget", "Take these texts away", "training.forget"),
    _binding("p", "pause", "Pause, or go on", "training.pause"),
    _binding("s", "stop", "Stop and keep the best", "training.stop"),
    _binding("r", "resume", "Go on with a run that was stopped", "training.resume"),
    _binding("t", "try", "Try it beside the base", "training.try"),
    _binding("n", "new", "Another run of this genre", "training.new"),
    _binding("escape,ctrl+b", "leave", "Back to the page; a run goes on", "training.leave"),
    _binding("f1", "help", "Help", "training.help"),
]
TRIAL_BINDINGS: Final[list[BindingType]] = [
    _binding("r", "again", "Both again, with another seed", "trial.again"),
    _binding("left,minus", "weigh(-1)", "Less of the adapter", "trial.less"),
    _binding("right,plus", "weigh(1)", "More of the adapter", "trial.more"),
    _binding("enter", "use", "Write with it", "trial.use"),
    _binding("escape,t", "leave", "Back", "trial.leave"),
    _binding("f1", "help", "Help", "trial.help"),
]
