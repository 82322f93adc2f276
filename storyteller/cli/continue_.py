"""`storyteller continue`: writes on from a file or a pipe, token by token, to standard output."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from storyteller.cli.engine import (
    find_wanted,
    open_core,
    parse_adapters,
    settings_with_notices,
)
from storyteller.cli.options import (  # noqa: TC001 - typer reads the annotations
    AdapterOption,
    DeviceOption,
    DtypeOption,
    ModelOption,
    ThreadsOption,
)
from storyteller.cli.sampler_options import settings_from, unescape, with_sampler_options
from storyteller.cli.sections import SectionedCommand
from storyteller.cli.source import read_text, without_final_newline
from storyteller.cli.streams import notice, output
from storyteller.cli.takes import TakePrinter, json_line, settled_sentences
from storyteller.engine.cancel import CancelSignal
from storyteller.engine.catalogue import find_adapters
from storyteller.engine.presets import find_preset
from storyteller.engine.protocol import Began, Context, Generate, Notice, Rewound, TakeDone, Token
from storyteller.engine.settings import StopRules
from storyteller.genres import find_genre

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from storyteller.engine.protocol import GenerateEvent


class Generator(Protocol):
    """What is asked of the engine here."""

    def generate(self, request: Generate, cancel: CancelSignal) -> Iterator[GenerateEvent]:
        """The events of one request."""
        ...


app = typer.Typer(rich_markup_mode=None, add_completion=False)
INTERRUPTED = 130


@app.command(cls=SectionedCommand)
@with_sampler_options
def continue_(
    source: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="The text to write on from; - or nothing: a pipe."),
    ] = None,
    *,
    model: ModelOption = None,
    adapter: AdapterOption = None,
    genre: Annotated[
        str | None, typer.Option(metavar="NAME", help="The genre: its preset, hint and adapter.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sampler settings by name, instead of the genre's.")
    ] = None,
    takes: Annotated[
        int,
        typer.Option("-n", "--takes", min=1, max=16, metavar="N", help="How many continuations, 1 to 16."),
    ] = 1,
    max_tokens: Annotated[
        int | None, typer.Option(min=0, max=100_000, metavar="N", help="How long each may grow, in tokens.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=2**63 - 16, metavar="N", help="The same seed gives the same text; take n has seed + n."
        ),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="End before this text; \\n is a newline. Repeat for more."),
    ] = None,
    end_at_sentence: Annotated[
        bool, typer.Option("--end-at-sentence", help="End on a whole sentence.")
    ] = False,
    heal: Annotated[
        bool,
        typer.Option("--heal", help="The text ends inside a word: choose the end of that word anew, too."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a take, one a line.")] = False,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    threads: ThreadsOption = None,
    **sampler: Any,
) -> int:
    """Write on from FILE, or from standard input, to standard output.

    Only the continuation is printed; notices go to standard error. With several takes each has a line above it.
    One newline at the very end of the text is left out, as it ends the file and not the thought.
    """
    settings = settings_with_notices()
    kind = find_genre(genre or settings.genre)
    chosen = settings_from(find_preset(preset or settings.preset or kind.preset).settings, sampler)
    context = Context(text=without_final_newline(read_text(source)), header=kind.prompt_hint)
    found = find_wanted(model, settings)
    known = find_adapters(found.path)
    own = [kind.name] if kind.name in known else None
    rules = StopRules(
        max_tokens=settings.max_tokens if max_tokens is None else max_tokens,
        stop=tuple(unescape(text) for text in stop or ()),
        end_at_sentence=end_at_sentence,
    )
    request = Generate(
        id="continue",
        context=context,
        takes=takes,
        settings=chosen,
        stop=rules,
        seed=seed,
        adapters=parse_adapters(adapter or own, known),
        heal=heal,
    )
    core = open_core(found, settings, device=device, dtype=dtype, threads=threads)
    return print_json(core, request) if as_json else print_text(core, request)


def print_text(core: Generator, request: Generate) -> int:
    """Print the takes of `request` as they grow, and return the exit code."""
    printer = TakePrinter(
        request.takes,
        output,
        settled=settled_sentences if request.stop.end_at_sentence else len,
        loops_are_left=request.settings.loop_guard,
    )
    with cancelled_by_interrupt() as cancel:
        for event in core.generate(request, cancel):
            match event:
                case Began():
                    if event.truncated:
                        notice(
                            f"The text is longer than the model can see; it sees the last {len(event.ids)} tokens."
                        )
                    printer.begin(event.ids)
                case Token() | Rewound() | TakeDone():
                    printer.handle(event)
                case Notice():
                    notice(event.message)
    return INTERRUPTED if cancel.all_cancelled else 0


def print_json(core: Generator, request: Generate) -> int:
    """Print the takes of `request`, an object each, once they are done, and return the exit code."""
    done: dict[int, TakeDone] = {}
    with cancelled_by_interrupt() as cancel:
        for event in core.generate(request, cancel):
            match event:
                case TakeDone():
                    done[event.take] = event
                case Notice():
                    notice(event.message)
    for take in sorted(done):
        output(json_line(done[take]))
    return INTERRUPTED if cancel.all_cancelled else 0


@contextmanager
def cancelled_by_interrupt() -> Iterator[CancelSignal]:
    """A signal that Ctrl-C sets; a second Ctrl-C interrupts at once."""
    cancel = CancelSignal()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if cancel.all_cancelled:
            signal.default_int_handler(number, frame)
        cancel.cancel()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)
