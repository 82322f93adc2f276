"""How soon a keypress is on screen, seen from the other end of a real pseudo-terminal.

A document of 100,000 words is open and an engine writes 30 tokens a second into it. Each sample sends one
key and stops the clock when the terminal has received the bytes that show its effect. Two kinds of key:
one that the writer types over the offer (it dismisses it), one that is the offer's own next letter.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from storyteller.bench.paced import SENTENCE
from storyteller.bench.terminal import Chunk, TerminalProcess
from storyteller.errors import StorytellerError, UserError
from storyteller.paths import cache_dir, private_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    import pyte

BOUND_MS = 33.0
FIRST_PAINT_BOUND_S = 0.5
COLUMNS, ROWS = 100, 40
TAB, ESCAPE, CTRL_END, CTRL_Z = "\t", "\x1b", "\x1b[1;5F", "\x1a"
# Letters that nothing else on the screen shows, so that their bytes are the keypress and nothing but.
MARKERS = "".join(chr(code) for code in range(0x0100, 0x0180))
OPENING = "Zeroth"
WHOLE_STREAMS = 3
QUIET_AFTER_STREAM_S = 1.5  # a stream that brings no letter for so long has ended
PATIENCE_S = 60.0  # for a large model to open and to read its first prompt
RATE = re.compile(r"(\d+) tok/s")
ITALICS = re.compile(rb"\x1b\[(?:[0-9];)*3;[34]8;")


class Latency(msgspec.Struct, frozen=True):
    """One kind of key: how many samples, and milliseconds from key to screen."""

    keys: str
    samples: int
    median_ms: float
    p95_ms: float
    worst_ms: float


class Report(msgspec.Struct, frozen=True):
    """What `storyteller bench ui` prints. Seconds and milliseconds.

    Attributes:
        tokens_per_s: the stand-in's pace, or what the status line said at the ends of some takes of the model.
    """

    words: int
    tokens_per_s: float
    engine: str
    first_paint_s: float
    keys: tuple[Latency, ...]


def bench_ui(
    *,
    words: int = 100_000,
    tokens_per_s: float = 30.0,
    samples: int = 60,
    model: str | None = None,
    dtype: str = "auto",
    threads: int = 0,
) -> Report:
    """Run the room on a pseudo-terminal and measure it.

    Args:
        words: length of the open document.
        tokens_per_s: pace of the stand-in engine; not used with `model`.
        samples: keys of each kind.
        model: stream from this real model, in the real engine child, instead of the stand-in.
        dtype: of the model.
        threads: of the model; 0 is the engine's choice.

    Raises:
        UserError: the terminal emulator this measures with is not installed.
        StorytellerError: the room did not come up or a key never showed.
    """
    _emulator()
    with tempfile.TemporaryDirectory(prefix="storyteller-bench-") as folder:
        document = Path(folder) / "novel.md"
        document.write_text(manuscript(words), encoding="utf-8")
        environment = _environment(Path(folder), dtype=dtype, threads=threads)
        first_paint = statistics.median(_first_paint(document, environment) for _ in range(4))
        command = [sys.executable, "-m", "storyteller.bench.room", str(document)]
        command += ["--model", model] if model else ["--pace", str(tokens_per_s)]
        with TerminalProcess(command, columns=COLUMNS, rows=ROWS, environment=environment) as terminal:
            _await(terminal, OPENING.encode(), since=0.0)
            _await_engine(terminal)
            keys = tuple(_measure(terminal, samples, scripted=model is None))
            if model is not None:
                tokens_per_s = statistics.median([*_rates(terminal)] or [0.0])
    return Report(
        words=words,
        tokens_per_s=tokens_per_s,
        engine=model or "paced",
        first_paint_s=round(first_paint, 3),
        keys=keys,
    )


def manuscript(words: int) -> str:
    """Plain prose of `words` words in paragraphs of about a hundred."""
    rng = random.Random(0)
    vocabulary = SENTENCE.split()
    paragraphs = []
    left = words
    while left > 0:
        size = min(left, rng.randrange(60, 140))
        paragraphs.append(" ".join(rng.choices(vocabulary, k=size)))
        left -= size
    return f"The {OPENING} " + "\n\n".join(paragraphs)


def rate_said(display: Sequence[str]) -> float | None:
    """The tokens a second that the status line of a screen speaks of."""
    said = RATE.search("\n".join(display[-3:]))
    return float(said[1]) if said else None


def _rates(terminal: TerminalProcess) -> Iterator[float]:
    """Let some takes come to their end, and read each one's speed from the status line then."""
    screen = _emulator().Screen(COLUMNS, ROWS)
    stream = _emulator().ByteStream(screen)
    fed = 0
    rng = random.Random(2)

    def look() -> list[str]:
        nonlocal fed
        arrived = terminal.chunks[fed:]
        fed += len(arrived)
        stream.feed(b"".join(chunk.data for chunk in arrived))
        return list(screen.display)

    look()
    for _ in range(WHOLE_STREAMS):
        _start_stream(terminal, rng)
        shown, began = look(), time.perf_counter()
        changed = began
        while time.perf_counter() - changed < QUIET_AFTER_STREAM_S:  # a caret that blinks changes no letter
            if time.perf_counter() - began > PATIENCE_S:
                raise StorytellerError("A take did not end.", title="The measurement failed")
            time.sleep(QUIET_AFTER_STREAM_S / 3)
            if (now := look()) != shown:
                shown, changed = now, time.perf_counter()
        rate = rate_said(shown)
        if rate is not None:
            yield rate
        terminal.press(ESCAPE)
        _await_quiet(terminal)


def _environment(home: Path, *, dtype: str = "auto", threads: int = 0) -> dict[str, str]:
    """A home of its own in which the first question is answered already; what is made once per model is not made again."""
    config = home / "home" / "config"
    config.mkdir(parents=True)
    with contextlib.suppress(OSError):
        (home / "home" / "cache").symlink_to(private_dir(cache_dir()).absolute())
    (config / "config.toml").write_text(
        f'consent = "no"\ndtype = "{dtype}"\nthreads = {threads}\n', encoding="utf-8"
    )
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited | {
        "STORYTELLER_HOME": str(home / "home"),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
    }


def _first_paint(document: Path, environment: dict[str, str]) -> float:
    """Seconds from starting the real command to the document's first word on the terminal."""
    command = [sys.executable, "-m", "storyteller", str(document)]
    with TerminalProcess(command, columns=COLUMNS, rows=ROWS, environment=environment) as terminal:
        _await(terminal, OPENING.encode(), since=0.0)
        painted = next(chunk.at for chunk in _growing(terminal.chunks) if OPENING.encode() in chunk.data)
        return painted - terminal.started_at


def _growing(chunks: Sequence[Chunk]) -> Iterator[Chunk]:
    """Each moment with everything received until then."""
    received = b""
    for chunk in chunks:
        received += chunk.data
        yield Chunk(chunk.at, received)


def _measure(terminal: TerminalProcess, samples: int, *, scripted: bool) -> Iterator[Latency]:
    rng = random.Random(1)
    terminal.press(CTRL_END)
    _await_quiet(terminal)
    yield _latency("typing, no stream", list(_type_over(terminal, samples, rng, stream=False)))
    yield _latency("typing over a stream", list(_type_over(terminal, samples, rng, stream=True)))
    if scripted:
        yield _latency("typing along with a stream", list(_type_along(terminal, samples, rng)))


def _type_over(
    terminal: TerminalProcess, samples: int, rng: random.Random, *, stream: bool
) -> Iterator[float]:
    """Milliseconds for letters the offer does not hold."""
    for number in range(samples):
        if stream:
            _start_stream(terminal, rng)
        else:
            time.sleep(rng.uniform(0.05, 0.15))
        marker = MARKERS[number % len(MARKERS)]
        at = terminal.press(marker)
        _await(terminal, marker.encode(), since=at)
        shown = next(
            chunk.at for chunk in terminal.chunks if chunk.at >= at and marker.encode() in chunk.data
        )
        yield (shown - at) * 1000
        _undo(terminal)


def _undo(terminal: TerminalProcess) -> None:
    """Take the marker back, so that the next sample's marker is on screen once."""
    terminal.press(CTRL_Z)
    _await_quiet(terminal)


def _type_along(terminal: TerminalProcess, samples: int, rng: random.Random) -> Iterator[float]:
    """Milliseconds until the offer's next letter has become the writer's own while the stream runs on.

    The recording is played back through a terminal emulator afterwards, so that its cost is not measured.
    """
    presses: list[tuple[float, str]] = []
    streams = 6
    each = -(-samples // streams)
    for _ in range(streams):
        _start_stream(terminal, rng)
        for letter in SENTENCE[:each]:
            presses.append((terminal.press(letter), letter))
            time.sleep(rng.uniform(0.07, 0.12))
        terminal.press(ESCAPE)
        time.sleep(0.3)
        terminal.press(ESCAPE)
        time.sleep(0.3)
        terminal.press(CTRL_END)
        terminal.press("\r")
        _await_quiet(terminal)
    yield from _play_back(list(terminal.chunks), presses[:samples])


def _play_back(chunks: list[Chunk], presses: Sequence[tuple[float, str]]) -> Iterator[float]:
    screen = _emulator().Screen(COLUMNS, ROWS)
    stream = _emulator().ByteStream(screen)
    position = 0
    for at, letter in presses:
        while position < len(chunks) and chunks[position].at < at:
            stream.feed(chunks[position].data)
            position += 1
        cell = _first_provisional(screen)
        if cell is None:
            raise StorytellerError(
                "No streamed text was on screen when a key was pressed.", title="The measurement failed"
            )
        while _is_provisional(screen, *cell):
            if position == len(chunks):
                raise StorytellerError(f"The key {letter!r} never showed.", title="The measurement failed")
            shown = chunks[position].at
            stream.feed(chunks[position].data)
            position += 1
        yield (shown - at) * 1000


def _first_provisional(screen: pyte.Screen) -> tuple[int, int] | None:
    """Row and column of the first cell of provisional text: the only italics inside the page."""
    for row in range(3, ROWS - 3):
        for column in range(COLUMNS):
            if _is_provisional(screen, row, column):
                return row, column
    return None


def _is_provisional(screen: pyte.Screen, row: int, column: int) -> bool:
    return bool(screen.buffer[row][column].italics)


def _latency(keys: str, milliseconds: list[float]) -> Latency:
    ordered = sorted(milliseconds)
    return Latency(
        keys=keys,
        samples=len(ordered),
        median_ms=round(statistics.median(ordered), 1),
        p95_ms=round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 1),
        worst_ms=round(ordered[-1], 1),
    )


def _start_stream(terminal: TerminalProcess, rng: random.Random) -> None:
    """Press Tab and wait until streamed text, the only italics, was painted."""
    at = terminal.press(TAB)
    if not terminal.wait_for(lambda output: ITALICS.search(output) is not None, since=at, timeout=PATIENCE_S):
        raise StorytellerError("Tab did not start a stream.", title="The measurement failed")
    time.sleep(rng.uniform(0.2, 0.5))


def _await(terminal: TerminalProcess, expected: bytes, *, since: float) -> None:
    if not terminal.wait_for(lambda output: expected in output, since=since, timeout=20):
        raise StorytellerError(f"{expected!r} never reached the terminal.", title="The measurement failed")


def _await_engine(terminal: TerminalProcess) -> None:
    """Until the status line has stopped changing: the model is open."""
    time.sleep(1.0)
    _await_quiet(terminal)


def _await_quiet(terminal: TerminalProcess, quiet: float = 0.25) -> None:
    """Until nothing was painted for `quiet` seconds, what was pressed just now included."""
    since = time.perf_counter()
    while time.perf_counter() - max(since, terminal.chunks[-1].at) < quiet:
        if time.perf_counter() - since > PATIENCE_S:
            raise StorytellerError("The screen did not come to rest.", title="The measurement failed")
        time.sleep(quiet / 5)


def _emulator() -> ModuleType:
    try:
        import pyte
    except ImportError as error:
        raise UserError(
            "`bench ui` reads the screen with pyte: run pip install pyte.",
            title="pyte is not installed",
        ) from error
    return pyte


def main(
    *,
    as_json: bool = False,
    model: str | None = None,
    samples: int = 60,
    dtype: str = "auto",
    threads: int = 0,
) -> int:
    """Print the report; 0 when the bounds hold, 1 when they do not."""
    report = bench_ui(model=model, samples=samples, dtype=dtype, threads=threads)
    if as_json:
        print(json.dumps(msgspec.to_builtins(report)))
    else:
        print_report(report)
    return 0 if meets_bounds(report) else 1


def meets_bounds(report: Report) -> bool:
    """Whether keys and the first paint are on screen soon enough."""
    worst = max(row.p95_ms for row in report.keys)
    return worst <= BOUND_MS and report.first_paint_s <= FIRST_PAINT_BOUND_S


def print_report(report: Report) -> None:
    """The report as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    pace = f"{report.tokens_per_s:g} tokens/s"
    table = Table(
        title=f"{report.words:,} words open, {report.engine} engine at {pace}; bound {BOUND_MS:g} ms at p95"
    )
    for column in ("keys", "samples", "median ms", "p95 ms", "worst ms"):
        table.add_column(column, justify="left" if column == "keys" else "right")
    for row in report.keys:
        table.add_row(
            row.keys, str(row.samples), f"{row.median_ms:.1f}", f"{row.p95_ms:.1f}", f"{row.worst_ms:.1f}"
        )
    console.print(table)
    console.print(f"first paint {report.first_paint_s:.2f} s (bound {FIRST_PAINT_BOUND_S:g} s, median of 4)")
