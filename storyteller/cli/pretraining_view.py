"""A model's training as a person watches it in a shell: what every run says, and bits per byte by genre."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.cli.training_view import TrainingView, time_in_words
from storyteller.text import display_line
from storyteller.training.pretraining.events import (
    Exported,
    Measured,
    NetworkPlanned,
    Prepared,
    Preparing,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storyteller.training.pretraining.events import PretrainingEvent


class PretrainingView:
    """A line for what matters, and on a terminal a bar with what changes."""

    def __init__(self) -> None:
        self._view = TrainingView()
        self._preparing = ""

    def __enter__(self) -> PretrainingView:
        self._view.__enter__()
        return self

    def __exit__(self, *gone: object) -> None:
        self._view.__exit__(*gone)

    def tell(self, event: PretrainingEvent) -> None:
        """Show `event`."""
        match event:
            case Preparing():
                self._prepare(event)
            case Prepared():
                self._view.say(_tokens_in_words(event))
            case NetworkPlanned():
                self._view.say(_plan_in_words(event))
            case Measured():
                said = f"step {event.step}, {event.tokens / 1e6:,.1f} M tokens: {_bits(event.bits_per_byte)} bits per byte"
                self._view.say(said)
            case Exported():
                self._view.close()
                self._view.say(_result_in_words(event))
            case _:
                self._view.tell(event)

    def _prepare(self, event: Preparing) -> None:
        """A line where another genre begins."""
        what = event.genre or event.doing
        if what != self._preparing:
            self._preparing = what
            self._view.say(f"Preparing {display_line(what)} …")


def _tokens_in_words(event: Prepared) -> str:
    lines = [
        f"{event.tokens:,} tokens of a vocabulary of {event.vocabulary:,}{', prepared before' if event.reused else ''}"
    ]
    lines += [
        f"  {display_line(genre.genre):<10} {genre.documents:>7,} texts {genre.tokens:>13,} tokens, "
        f"held out {genre.held_out_documents:,} texts, {genre.held_out_tokens:,} tokens"
        for genre in event.genres
    ]
    return "\n".join(lines)


def _plan_in_words(plan: NetworkPlanned) -> str:
    length = f"{plan.minutes:g} minutes" if plan.minutes is not None else f"{plan.tokens:,} tokens"
    epochs = f", {plan.epochs:g} epochs" if plan.epochs else ""
    start = f"\nstart     {display_line(plan.start)}, and its tokenizer" if plan.start else ""
    return (
        f"network   {plan.width} wide, {plan.layers} layers, {plan.heads} heads, context {plan.context}, vocabulary "
        f"{plan.vocabulary}: {plan.parameters:,} parameters{start}\n"
        f"computed  in {plan.dtype} on {plan.device}{', compiled' if plan.compiled else ''}\n"
        f"length    {length} by steps of {plan.tokens_per_step:,} tokens{epochs}"
    )


def _result_in_words(event: Exported) -> str:
    return (
        f"{event.tokens / 1e6:,.1f} M tokens in {event.step:,} steps, {time_in_words(event.seconds)}.\n"
        f"Held out: {_bits(event.bits_per_byte)} bits per byte.\n"
        f"Saved in bfloat16 ({event.megabytes:.1f} MB), opened again, the same; in {display_line(event.path)}\n"
        f"Write with it: storyteller --model {display_line(event.path)}"
    )


def _bits(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{display_line(genre)} {figure:.3f}" for genre, figure in figures.items())
