"""What a run says, to whoever started it and to its own file; how it ends badly, in words."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from storyteller.engine.network.device import is_out_of_memory
from storyteller.errors import StorytellerError, TrainingError
from storyteller.training.events import Failed, Resumed, Said, to_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from storyteller.training.events import Event
    from storyteller.training.processes import Processes
    from storyteller.training.run_folder import RunFolder


class Teller:
    """Tells the events of one run, if this is the process that speaks for all."""

    def __init__(self, folder: RunFolder, listener: Callable[[Any], None], processes: Processes) -> None:
        self._folder = folder
        self._listener = listener
        self._processes = processes

    def __call__(self, event: Event) -> None:
        """To whoever started the run, and to its file, unless the disk has no room for it."""
        if not self._processes.leads:
            return
        with suppress(OSError), self._folder.events.open("ab") as stream:
            stream.write(to_line(event))
        self._listener(event)

    def resumed(self, step: int, damaged: Sequence[str]) -> None:
        """The run goes on from a checkpoint at `step`; newer ones, called `damaged`, cannot be used."""
        if damaged:
            self(Said(message=f"{', '.join(damaged)} is damaged, so the run goes on from an earlier one."))
        self(Resumed(step=step))

    @contextmanager
    def failures(self, how_to_go_on: Callable[[], str], no_memory: str) -> Iterator[None]:
        """Tell how what is done inside fails.

        Args:
            how_to_go_on: after the disk failed: "Make room, " and then this.
            no_memory: what to say where one sequence at once does not fit.

        Raises:
            TrainingError: the disk failed or there is no memory. Everything else is raised as it was.
        """
        try:
            yield
        except StorytellerError as error:
            self(Failed(message=error.message))
            raise
        except OSError as error:
            message = f"the disk: {error.strerror or error}. Make room, {how_to_go_on()}"
            self(Failed(message=message))
            raise TrainingError(message) from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                self(Failed(message=f"{type(error).__name__}: {str(error)[:300]}"))
                raise
            self(Failed(message=no_memory))
            raise TrainingError(no_memory) from error
