"""The keys of the training screen and of the comparison; each has an id, so that the writer's key map can change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storyteller.tui.quiet import quiet_binding

if TYPE_CHECKING:
    from textual.binding import BindingType

TRAINING_BINDINGS: Final[list[BindingType]] = [
    quiet_binding("enter", "start", "Start the run that is shown", "training.start"),
    quiet_binding("g", "genre", "Another genre", "training.genre"),
    quiet_binding("a", "add", "Add a folder or file of texts", "training.add"),
    quiet_binding("x,delete", "forget", "Take these texts away", "training.forget"),
    quiet_binding("p", "pause", "Pause, or go on", "training.pause"),
    quiet_binding("s", "stop", "Stop and keep the best", "training.stop"),
    quiet_binding("r", "resume", "Go on with a run that was stopped", "training.resume"),
    quiet_binding("t", "try", "Try it beside the base", "training.try"),
    quiet_binding("n", "new", "Another run of this genre", "training.new"),
    quiet_binding("escape,ctrl+b", "leave", "Back to the page; a run goes on", "training.leave"),
    quiet_binding("f1", "help", "Help", "training.help"),
]
TRIAL_BINDINGS: Final[list[BindingType]] = [
    quiet_binding("r", "again", "Both again, with another seed", "trial.again"),
    quiet_binding("left,minus", "weigh(-1)", "Less of the adapter", "trial.less"),
    quiet_binding("right,plus", "weigh(1)", "More of the adapter", "trial.more"),
    quiet_binding("enter", "use", "Write with it", "trial.use"),
    quiet_binding("escape,t", "leave", "Back", "trial.leave"),
    quiet_binding("f1", "help", "Help", "trial.help"),
]
