"""What the training screen and the room say of a run, in words and figures. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storyteller.tui.lines import Piece

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from storyteller.training.events import Planned
    from storyteller.tui.training.progress import Progress

_MINUTE, _HOUR = 60, 3600  # seconds
_SHORT: Final = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def duration(seconds: float) -> str:
    """`35 s`, `4 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    if seconds < 90 * _MINUTE:
        return f"{round(seconds / _MINUTE)} min"
    minutes = round(seconds / _MINUTE)
    return f"{minutes // 60:,} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """`1 text`, `412 texts`, `96 k tokens`."""
    if number >= 10_000_000:
        return f"{number / 1e6:.0f} M {noun}s"
    if number >= 10_000:
        return f"{number / 1e3:.0f} k {noun}s"
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def percent(fraction: float) -> str:
    """`42 %`; 100 only once all of it is done."""
    return f"{int(fraction * 100)} %"


def room_words(genre: str, progress: Progress, *, going: bool) -> str:
    """What the room's status line says of a run while one writes."""
    if not going:
        return ""
    if progress.paused:
        return f"training {genre} paused"
    return f"training {genre} {percent(progress.fraction)}"


def farewell(genre: str, progress: Progress, key: str, *, here: bool) -> str:
    """The sentence for a writer at the page when a run is over. `key` writes with what was learned."""
    if progress.finished is not None:
        return f"{genre} learned: {key} {'writes with it' if here else 'to write with it'}."
    if progress.stopped is not None:
        return f"Training {genre} was stopped at step {progress.stopped.step:,}."
    return f"Training {genre} ended without a result."


def top_pieces(genre: str, progress: Progress) -> tuple[list[Piece], list[Piece]]:
    """What is learned from; what learns."""
    plan = progress.planned
    if plan is None:
        return [Piece(f"Training {genre}", 9, "$foreground")], []
    learned = [
        count(plan.documents, "text"),
        count(plan.tokens, "token"),
        f"{plan.held_out_documents:,} held out",
    ]
    learner = [plan.base, _SHORT.get(plan.dtype, plan.dtype), f"rank {plan.rank}"]
    left = [Piece(f"{genre} ← {', '.join(learned)}", 9, "$foreground", elastic=True)]
    return left, [Piece(" · ".join(learner), 5)]


def figure_pieces(progress: Progress, *, going: bool) -> list[Piece]:
    """One line of figures: perplexities, the best step, speed, memory, time left."""
    pieces = []
    base, now = progress.base, progress.perplexity
    if base is not None:
        gone = f" → {now:.1f}" if now is not None else ""
        pieces.append(Piece(f"base {base:.1f}{gone}", 9, "$room-accent"))
    if progress.best is not None and progress.best.step:
        pieces.append(Piece(f"best at {progress.best.step:,}", 5))
    latest = progress.latest
    if latest is None:
        return pieces or [Piece(_waiting(progress, going=going), 9)]
    pieces.append(Piece(f"step {latest.step:,} of {latest.steps:,}", 8))
    if not going:
        return [*pieces, Piece(f"loss {latest.loss:.2f}", 3)]
    pieces += [
        Piece(f"loss {latest.loss:.2f}", 3),
        Piece(f"{latest.tokens_per_s:,.0f} tok/s", 4),
        Piece(f"{latest.memory_gb:.1f} GB", 2),
        Piece("paused" if progress.paused else f"{duration(latest.seconds_left)} left", 7),
    ]
    return pieces


def _waiting(progress: Progress, *, going: bool) -> str:
    if not going:
        return ""
    return "reading the texts" if progress.planned is None else "measuring the base"


def standing_sentence(genre: str, progress: Progress, *, going: bool, asked: str, trouble: str) -> str:
    """One sentence on how a run stands; empty where its figures say all."""
    if going:
        match asked:
            case "pause" if not progress.paused:
                return "It pauses after this step."
            case "stop":
                return "It stops after this step, and what it learned is kept."
            case "go" if progress.paused:
                return "It goes on."
        return progress.said[-1] if progress.said else ""
    if progress.finished is not None:
        done = progress.finished
        return f"{genre} {done.version} is learned: {done.reason}, after {duration(done.seconds)}."
    if progress.failed is not None:
        return progress.failed.message
    if trouble:
        return trouble
    if progress.stopped is not None:
        return f"It was stopped at step {progress.stopped.step:,}, and can go on from there."
    if progress.planned is not None:
        where = f" from step {progress.checkpoint:,}" if progress.checkpoint else ""
        return f"It ended without a word: the machine or its process was stopped. It can go on{where}."
    return ""


def plan_lines(plan: Planned) -> list[tuple[str, str]]:
    """A dry run as rows of a name and a value."""
    rows = [
        ("texts", f"{count(plan.documents, 'text')}, {count(plan.tokens, 'token')}"),
        (
            "held out",
            f"{count(plan.held_out_documents, 'text')}, {count(plan.held_out_tokens, 'token')}: never learned, measured on",
        ),
        ("model", f"{plan.base} · {plan.device} · {_SHORT.get(plan.dtype, plan.dtype)}"),
        (
            "adapter",
            f"rank {plan.rank}, alpha {plan.alpha:g}, dropout {plan.dropout:g}, {plan.parameters / 1e6:.1f} M parameters learn",
        ),
        (
            "steps",
            f"{plan.steps:,} of {plan.batch} × {plan.seq} tokens, {plan.epochs:.3g} times through, rate {plan.rate:g}",
        ),
    ]
    estimates = []
    if plan.seconds:
        estimates.append(f"about {duration(plan.seconds)}")
    if plan.memory_gb:
        estimates.append(f"{plan.memory_gb:.1f} GB")
    return [*rows, ("takes", ", ".join(estimates) or "nobody knows yet how long")]


def source_words(path: Path, *, shipped: bool, home: Path | None) -> str:
    """A source as the list of texts writes it."""
    shown = str(path)
    if shipped:
        return f"{path.name}: the texts that ship with storyteller"
    if home is not None and path.is_relative_to(home):
        shown = f"~/{path.relative_to(home)}"
    return shown


def last_lines(text: str, most: int = 3) -> str:
    """The end of what a program wrote before it died, on one line."""
    lines: Sequence[str] = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[-most:])
