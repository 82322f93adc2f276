"""A training run as a person watches it in a shell, or as a program reads it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from storyteller.cli.streams import is_terminal, notice, output
from storyteller.text import display_line
from storyteller.training.events import (
    Checkpointed,
    Evaluated,
    Failed,
    Finished,
    Paused,
    Planned,
    Resumed,
    Said,
    Sampled,
    Stepped,
    Stopped,
    to_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from storyteller.training.events import AnyEvent, Event


class JsonView:
    """Every event as a line of JSON."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def tell(self, event: Event) -> None:
        """Write `event`."""
        self._write(to_line(event).decode("utf-8"))


class TrainingView:
    """A line for what matters, and on a terminal a bar with what changes."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._base: float | None = None
        self._genre: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, event: AnyEvent) -> None:
        """Show `event`."""
        match event:
            case Planned():
                self._genre = event.genre
                self.say(_plan_in_words(event))
            case Resumed():
                self.say(f"Going on from step {event.step}.")
            case Stepped():
                self._step(event)
            case Evaluated():
                self.say(self._measured(event))
            case Sampled():
                self.say(f"  {display_line(event.prompt)} │{display_line(event.text)}\n")
            case Said():
                notice(event.message)
            case Paused():
                self.say("Paused." if event.paused else "Going on.")
            case Checkpointed():
                pass
            case Stopped():
                self.close()
                self.say(f"Stopped at step {event.step}; nothing is lost: add --resume to go on.")
            case Finished():
                self.close()
                self.say(_result_in_words(event, self._genre))
            case Failed():
                self.close()

    def _measured(self, event: Evaluated) -> str:
        if event.step == 0:
            self._base = event.perplexity
            return (
                f"step 0: perplexity {event.perplexity:.2f} of the texts held out, before anything is learned"
            )
        change = f" ({event.perplexity / self._base - 1:+.1%})" if self._base else ""
        return f"step {event.step}: perplexity {event.perplexity:.2f}{change}{', best so far' if event.best else ''}"

    def _step(self, event: Stepped) -> None:
        if not is_terminal(sys.stderr):
            return
        if self._bar is None:
            self._bar = _open_bar(event.steps)
        self._bar.update(
            self._bar.task_ids[0],
            completed=event.step,
            total=event.steps,
            said=(
                f"loss {event.loss:.3f}  rate {event.rate:.1e}  {event.tokens_per_s:,.0f} tokens/s  "
                f"{event.memory_gb:.1f} GB  {time_in_words(event.seconds_left)} left"
            ),
        )

    def say(self, text: str) -> None:
        """A line above the bar, or on standard output where there is none."""
        if self._bar is not None:
            self._bar.console.print(
                display_line(text) if "\n" not in text else text, markup=False, highlight=False
            )
        else:
            output(text + "\n")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _open_bar(steps: int) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.completed}/{task.total}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[said]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task("", total=steps, said="")
    bar.start()
    return bar


def _plan_in_words(plan: Planned) -> str:
    lines = [
        f"{plan.genre}: {plan.documents} texts, {plan.tokens:,} tokens",
        f"held out  {plan.held_out_documents} texts, {plan.held_out_tokens:,} tokens",
        f"base      {display_line(plan.base)}, {plan.dtype} on {plan.device}",
        f"adapter   rank {plan.rank}, alpha {plan.alpha:g}, dropout {plan.dropout:g}: {plan.parameters:,} numbers learn",
        f"steps     {plan.steps} of {plan.batch} sequences of {plan.seq} tokens, rate {plan.rate:g}",
        f"epochs    {plan.epochs:g}",
        f"estimate  {time_in_words(plan.seconds)}, {plan.memory_gb:.1f} GB",
    ]
    return "\n".join([*lines, *(f"Warning: {display_line(warning)}" for warning in plan.warnings)])


def _result_in_words(event: Finished, genre: str | None) -> str:
    """What came of it; an adapter with its genre's name is used by itself, another where it is asked for."""
    own = genre in {None, event.adapter}
    how = (
        f"--genre {event.adapter}" if own else f"continue --adapter {event.adapter} FILE; in the room: Ctrl+G"
    )
    change = event.perplexity / event.base_perplexity - 1
    return (
        f"{event.adapter} {event.version}: perplexity {event.base_perplexity:.2f} → {event.perplexity:.2f} ({change:+.1%}) "
        f"at step {event.step}, {time_in_words(event.seconds)}; {event.reason}.\n"
        f"Saved, loaded again, the same; in {display_line(event.path)}\n"
        f"Write with it: storyteller {how}"
    )


def time_in_words(seconds: float) -> str:
    """`seconds` as hours, minutes and seconds, as far as they matter."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )
