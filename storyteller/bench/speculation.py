"""What guessing ahead brings: the model's own texts, repetitive and not, continued with and without by turns in one run."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from storyteller.bench.figures import Bound, conclude
from storyteller.engine.presets import find_preset
from storyteller.engine.settings import SamplerSettings, StopRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from storyteller.engine.core import Core

LEAST_REPETITIVE: Final = 1.5  # times the tokens a second without
LEAST_ANY: Final = 0.95
_STANZA: Final = 32  # tokens of a refrain
_REFRAINS: Final = 4
_BEGUN: Final = 128  # tokens the model wrote before what is timed


@dataclass(frozen=True)
class Kind:
    """A kind of text.

    Attributes:
        begun: the settings with which the model writes what stands before the caret.
        refrain: whether that is the beginning of it again and again.
        settings: with which it is continued.
    """

    name: str
    begun: SamplerSettings
    settings: SamplerSettings
    refrain: bool = False
    repetitive: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of text and number of takes.

    Attributes:
        without, with_guesses: tokens a second of all takes together, after the first token.
        ratio: of the two; in medians the median of the rounds' ratios.
        guessed: guesses read for each token written.
        right: the part of them that the takes went on with.
        same: whether every take was the same with and without.
    """

    text: str
    repetitive: bool
    takes: int
    without: float
    with_guesses: float
    ratio: float
    guessed: float
    right: float
    same: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run: medians over the rounds, what they must reach, and every round."""

    model: str
    dtype: str
    rows: tuple[Row, ...]
    bounds: tuple[Bound, ...]
    rounds: tuple[Row, ...]


def kinds() -> tuple[Kind, ...]:
    """The texts that are continued: two that repeat themselves, and three that do not."""
    greedy = SamplerSettings(temperature=0.0, loop_guard=False)
    warm, hot = (SamplerSettings(temperature=chance, loop_guard=False) for chance in (0.8, 1.0))
    cool = SamplerSettings(temperature=0.2, loop_guard=False)
    return (
        Kind("its own loop, greedy", greedy, greedy, repetitive=True),
        Kind("its own loop, temperature 0.2", greedy, cool, repetitive=True),
        Kind("a refrain, greedy", warm, greedy, refrain=True, repetitive=True),
        Kind("a refrain, temperature 0.8", warm, warm, refrain=True),
        Kind("prose, temperature 0.8", warm, warm),
        Kind("prose, temperature 1", hot, hot),
        Kind("prose, preset balanced", warm, find_preset("balanced").settings),
    )


def bench_speculation(
    core: Core,
    *,
    takes: Sequence[int] = (1, 4),
    tokens: int = 200,
    rounds: int = 9,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Continue every kind of text `rounds` times, each time from another beginning, with and without guesses.

    How guesses fared is remembered from text to text, as it is while one writes.

    Args:
        core: with a model open.
        takes: numbers of takes written together.
        tokens: how long each is.
        rounds: of which the median counts.
        clock: seconds.
    """
    rows = [
        _measured(core, kind, count, tokens, number, clock)
        for number in range(rounds)
        for kind in kinds()
        for count in takes
    ]
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.text, row.takes), []).append(row)
    medians = tuple(map(_median, groups.values()))
    return Report(
        model=core.opened.found.name,
        dtype=core.opened.placement.dtype_name,
        rows=medians,
        bounds=tuple(_bounds(medians)),
        rounds=tuple(rows),
    )


def main(
    model: str | None, *, dtype: str = "auto", threads: int = 0, tokens: int, rounds: int, as_json: bool
) -> int:
    """Open `model`, measure and print. Returns 1 where a bound is missed."""
    from storyteller.engine.core import Core
    from storyteller.engine.protocol import Load

    core = Core()
    for _ in core.load(Load(id="bench", model=model, dtype=dtype, threads=threads)):  # type: ignore[arg-type] # checked by the settings
        pass
    report = bench_speculation(core, tokens=tokens, rounds=rounds)
    return conclude(report, _print, as_json=as_json)


def _measured(
    core: Core, kind: Kind, takes: int, tokens: int, number: int, clock: Callable[[], float]
) -> Row:
    """One text, once with and once without; which comes first alternates."""
    prompt = _beginning(core, kind, number)
    judgement = core.opened.judgement
    guessed, right = judgement.guessed, judgement.right
    speeds, texts = {}, {}
    for speculates in (True, False) if number % 2 else (False, True):
        core.opened.speculates = speculates
        speeds[speculates], texts[speculates] = _written(core, prompt, kind, takes, tokens, number, clock)
    guessed, right = judgement.guessed - guessed, judgement.right - right
    return Row(
        text=kind.name,
        repetitive=kind.repetitive,
        takes=takes,
        without=speeds[False],
        with_guesses=speeds[True],
        ratio=speeds[True] / speeds[False],
        guessed=guessed / (takes * tokens),
        right=right / guessed if guessed else 0.0,
        same=texts[False] == texts[True],
    )


def _beginning(core: Core, kind: Kind, number: int) -> tuple[int, ...]:
    """What the model wrote of this kind, the `number`-th time."""
    eos = core.opened.tokens.eos
    core.opened.speculates = False
    opening = core.opened.tokens.encode(
        "It was the {} night.".format(("first", "second", "third")[number % 3])
    )
    settings, length = kind.begun, _STANZA if kind.refrain else _BEGUN
    _, (written,) = _written(
        core, (eos, *opening), Kind("", settings, settings), 1, length, number, time.perf_counter
    )
    return (eos, *written * _REFRAINS) if kind.refrain else (eos, *opening, *written)


def _written(
    core: Core,
    prompt: Sequence[int],
    kind: Kind,
    takes: int,
    tokens: int,
    seed: int,
    clock: Callable[[], float],
) -> tuple[float, list[tuple[int, ...]]]:
    """Tokens a second after the first token, and the tokens of each take."""
    from storyteller.engine.cancel import CancelSignal
    from storyteller.engine.protocol import Generate, TakeDone, Token

    settings = replace(kind.settings, banned_tokens=(core.opened.tokens.eos,))
    request = Generate(
        id="bench",
        ids=tuple(prompt),
        takes=takes,
        seed=seed,
        settings=settings,
        stop=StopRules(max_tokens=tokens),
    )
    texts: dict[int, tuple[int, ...]] = {}
    started, count = 0.0, 0
    for event in core.generate(request, CancelSignal()):
        if isinstance(event, Token):
            started = started or clock()
            count += 1
        elif isinstance(event, TakeDone):
            texts[event.take] = event.ids
    seconds = clock() - started
    return (count - 1) / seconds, [texts[take] for take in range(takes)]


def _median(rows: Sequence[Row]) -> Row:
    figures = {
        name: statistics.median(getattr(row, name) for row in rows)
        for name in ("without", "with_guesses", "ratio", "guessed", "right")
    }
    return replace(rows[0], **figures, same=all(row.same for row in rows))


def _bounds(rows: Sequence[Row]) -> Iterator[Bound]:
    for row in rows:
        several = f", {row.takes} takes" if row.takes > 1 else ""
        yield Bound(
            what=f"{row.text}{several}: times as fast",
            value=row.ratio,
            limit=LEAST_REPETITIVE if row.repetitive else LEAST_ANY,
        )


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    from storyteller.bench.tables import bounds_table

    table = Table(box=None, header_style="bold", pad_edge=False, title=f"{report.model} {report.dtype}")
    table.add_column("text", no_wrap=True)
    for heading in ("takes", "without tok/s", "with", "times", "guesses a token", "right", "same text"):
        table.add_column(heading, justify="right")
    for row in report.rows:
        table.add_row(
            row.text,
            str(row.takes),
            f"{row.without:.0f}",
            f"{row.with_guesses:.0f}",
            f"{row.ratio:.2f}",
            f"{row.guessed:.2f}",
            f"{row.right:.0%}",
            "yes" if row.same else "NO",
        )
    console = Console()
    console.print(table)
    console.print()
    console.print(bounds_table(report.bounds))
