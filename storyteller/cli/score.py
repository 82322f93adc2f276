"""`storyteller score`: how surprised the model is by a text, token by token."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
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
from storyteller.cli.sections import SectionedCommand
from storyteller.cli.source import read_text
from storyteller.cli.streams import is_terminal, output, output_rich
from storyteller.engine.catalogue import find_adapters
from storyteller.engine.protocol import Score, ScoredToken
from storyteller.errors import UserError
from storyteller.text import display_line, display_text

if TYPE_CHECKING:
    from rich.text import Text

    from storyteller.engine.protocol import Scored

app = typer.Typer(rich_markup_mode=None, add_completion=False)

# Shades of surprise on a terminal: at least so improbable (log-probability), and the style.
_SHADES: Final = ((-2.0, ""), (-5.0, "underline"), (-8.0, "bold"), (float("-inf"), "reverse"))


class ScoreLine(msgspec.Struct, frozen=True):
    """What `--json` prints: stable keys, one object. The first token has no log-probability: nothing is before it."""

    tokens: tuple[ScoredToken, ...]
    perplexity: float
    bits_per_byte: float


@app.command(cls=SectionedCommand)
def score(
    source: Annotated[
        str | None, typer.Argument(metavar="FILE|-", help="The text; - or nothing: a pipe.")
    ] = None,
    *,
    model: ModelOption = None,
    adapter: AdapterOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    threads: ThreadsOption = None,
) -> int:
    """Score FILE, or standard input: every token's log-probability (natural), perplexity and bits per byte.

    On a terminal the text is shown with its surprises marked: plain is likely, underlined less so, bold rare,
    reversed very rare. In a pipe there is one token a line after its log-probability.
    """
    settings = settings_with_notices()
    text = read_text(source)
    if not text:
        raise UserError("There is nothing to score: the text is empty.")
    found = find_wanted(model, settings)
    adapters = parse_adapters(adapter, find_adapters(found.path))
    core = open_core(found, settings, device=device, dtype=dtype, threads=threads)
    scored = core.score(Score(id="score", text=text, adapters=adapters))
    if as_json:
        line = ScoreLine(scored.tokens, scored.perplexity, scored.bits_per_byte)
        output(msgspec.json.encode(line).decode() + "\n")
    elif is_terminal(sys.stdout):
        output_rich(_shaded(scored))
    else:
        output("".join(_row(token) for token in scored.tokens) + "\n" + _summary(scored))
    return 0


def _row(token: ScoredToken) -> str:
    value = "       -" if token.logprob is None else f"{token.logprob:8.3f}"
    return f"{value}  {display_line(token.text)}\n"


def _summary(scored: Scored) -> str:
    return (
        f"{len(scored.tokens):,} tokens   perplexity {scored.perplexity:,.2f}   "
        f"{scored.bits_per_byte:.3f} bits per byte\n"
    )


def _shaded(scored: Scored) -> Text:
    from rich.text import Text

    text = Text()
    for token in scored.tokens:
        text.append(display_text(token.text), style=_shade(token.logprob))
    text.append("\n\n" + _summary(scored).rstrip(), style="dim")
    return text


def _shade(logprob: float | None) -> str:
    if logprob is None:
        return ""
    return next(style for floor, style in _SHADES if logprob >= floor)
