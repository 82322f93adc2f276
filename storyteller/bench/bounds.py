"""Which figures of a run are compared, and what they must reach: GPT-2 large's shape on two cores, or on one GPU.

Ours is compared with a peer's row of the same round, so that what disturbs the machine disturbs both.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from storyteller.bench.figures import OURS, Bound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from storyteller.bench.figures import Row

LLAMA_CPP_DTYPES: Final = {"int4": "Q4_0", "int8": "Q8_0"}
# (ours, peer, its dtype) -> how many times its tokens a second
LEAST_SPEED: Final = {
    ("int4", "llama.cpp", "Q4_0"): 1.2,
    ("int8", "llama.cpp", "Q8_0"): 1.1,
    ("int4", "transformers", "bfloat16"): 5.0,
    ("bfloat16", "transformers", "bfloat16"): 1.0,
    ("float32", "transformers", "float32"): 1.0,
    ("float16", "transformers", "float16"): 1.0,
}
LEAST_SPEED_ON_GPU: Final = {("bfloat16", "transformers", "bfloat16"): 10.0}
LEAST_BANDWIDTH_ON_GPU: Final = 0.5  # of what reading the weights in bfloat16 allows
AS_SOON: Final = ("int4", "int8", "bfloat16")  # read a prompt no later than transformers does in bfloat16
EDIT_STEPS: Final = 3.0  # decode steps in which the first token after an edit comes
EDIT_FROM: Final = 512  # tokens of context: below, a fresh prefill is short as well
LEAST_FOUR_TAKES: Final = 2.5  # times the tokens of one
MOST_OPEN_S: Final = 2.0  # quantised, from a path to the first token, the second time


def peer_dtype(peer: str, dtype: str, device: str) -> str | None:
    """The dtype in which `peer` is measured beside ours in `dtype`; None where there is nothing to compare."""
    if peer == "llama.cpp":
        return LLAMA_CPP_DTYPES.get(dtype) if device == "cpu" else None
    return dtype if dtype in {"float32", "float16"} else "bfloat16"


def judged(rows: Sequence[Row]) -> tuple[Bound, ...]:
    """Every comparison that `rows` of all rounds allow."""
    return tuple(_judged(rows))


def _judged(rows: Sequence[Row]) -> Iterator[Bound]:
    singles = [row for row in rows if row.takes == 1]
    ours = _by_measured(row for row in singles if row.who == OURS)
    theirs = _by_measured(row for row in singles if row.who != OURS)
    for mine in ours:
        for other in theirs:
            if (mine[0].device, mine[0].context) == (other[0].device, other[0].context):
                yield from _beside(mine, other)
    for mine in ours:
        yield from _alone(mine)
    yield from _takes_together(rows)


def _beside(mine: Sequence[Row], other: Sequence[Row]) -> Iterator[Bound]:
    """Ours beside a peer: how many times its speed, and how soon the first token is there."""
    dtype, device = mine[0].dtype, mine[0].device
    peer, theirs = other[0].who, other[0].dtype
    if peer_dtype(peer, dtype, device) != theirs:
        return
    speeds = LEAST_SPEED if device == "cpu" else LEAST_SPEED_ON_GPU
    pairs = f"{_named(mine[0])} / {peer} {theirs}"
    faster = _paired(mine, other, lambda a, b: a.tokens_per_s / b.tokens_per_s)
    if faster is not None:
        yield Bound(what=f"{pairs}: tokens/s", value=faster, limit=speeds.get((dtype, peer, theirs)))
    sooner = _paired(mine, other, lambda a, b: b.first_token_s / a.first_token_s)
    if sooner is not None:
        due = peer == "transformers" and dtype in AS_SOON and device == "cpu"
        yield Bound(
            what=f"{pairs}: first token, times as soon",
            value=sooner,
            limit=1.0 if due else None,
        )


def _alone(mine: Sequence[Row]) -> Iterator[Bound]:
    """What ours must reach by itself."""
    first = mine[0]
    on_cpu = first.device == "cpu"
    steps = [row.after_edit_s * row.tokens_per_s for row in mine if row.after_edit_s is not None]
    if steps and first.context >= EDIT_FROM:
        yield Bound(
            what=f"{_named(first)}: decode steps until the first token after an edit",
            value=statistics.median(steps),
            limit=EDIT_STEPS if on_cpu else None,
            at_least=False,
        )
    shares = [row.tokens_per_s / row.bound_tokens_per_s for row in mine if row.bound_tokens_per_s]
    if shares:
        due = not on_cpu and first.dtype == "bfloat16"
        yield Bound(
            what=f"{_named(first)}: share of the bandwidth limit",
            value=statistics.median(shares),
            limit=LEAST_BANDWIDTH_ON_GPU if due else None,
        )
    if first.dtype in LLAMA_CPP_DTYPES and first.open_s:
        yield Bound(
            what=f"{_named(first)}: seconds from a path to the first token",
            value=statistics.median(row.open_s for row in mine),
            limit=MOST_OPEN_S,
            at_least=False,
        )


def _takes_together(rows: Sequence[Row]) -> Iterator[Bound]:
    ours = [row for row in rows if row.who == OURS]
    ones = {(row.device, row.dtype, row.context): row for row in ours if row.takes == 1}
    for four in _by_measured(row for row in ours if row.takes == 4):
        key = (four[0].device, four[0].dtype, four[0].context)
        one = [row for row in ours if row.takes == 1 and (row.device, row.dtype, row.context) == key]
        times = _paired(four, one, lambda a, b: a.tokens_per_s / b.tokens_per_s) if key in ones else None
        if times is not None:
            yield Bound(
                what=f"{_named(four[0])}: four takes' tokens/s, times one's",
                value=times,
                limit=LEAST_FOUR_TAKES if four[0].device == "cpu" else None,
            )


def _named(row: Row) -> str:
    return f"{row.device} {row.dtype} at {row.context}"


def _by_measured(rows: Iterable[Row]) -> list[list[Row]]:
    groups: dict[tuple[str, str, str, int, int], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.measured, []).append(row)
    return list(groups.values())


def _paired(mine: Sequence[Row], other: Sequence[Row], figure: Callable[[Row, Row], float]) -> float | None:
    """The median over the rounds that both have of a `figure` of both."""
    theirs = {row.round: row for row in other}
    figures = [figure(row, theirs[row.round]) for row in mine if row.round in theirs]
    return statistics.median(figures) if figures else None
