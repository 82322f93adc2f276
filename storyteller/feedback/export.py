r"""Data sets for training from the log: a pure function of what the log holds, so the same log gives the same bytes.

One JSON object a line, in the order of generations and takes. All kinds have

    id            the take (`sft`, `unpaired`), or the takes (`preference`), the row comes from
    prompt        the text before the caret as the model saw it; the engine had cut it from the left to fit
    prompt_ids    the ids that were sampled from, which text may not encode to; they end before an unfinished word or a
                  space at the end, which the ids of a completion say again
    prompt_truncated  whether something was cut
    genre, model, model_hash   ids mean something only to the model with this hash
    document      a hash that is the same for all rows of one document

and besides

    sft         completion, completion_ids, eos, source, horizon: train on the completion only, no end of text
                unless `eos`. `source` is "accepted" (it stands as it was written) or "edited" (as it stands now,
                at most half of it changed); `horizon` says when that was looked at.
    preference  chosen, chosen_ids, chosen_source ("accepted", "edited" or "typed"), rejected, rejected_ids
    unpaired    completion, completion_ids, label (true: wanted), reason

Ids of a completion are null where it is not exactly what was sampled: use both texts then, not `prompt_ids`. Lone
surrogates become U+FFFD: no tokenizer takes them.

Whoever trains on this mixes in at least as much human text: `human_characters` says how much that is.
"""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import field

from storyteller.feedback.rows import name_hash
from storyteller.feedback.rules import Row, judgements, pairs, spans

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from storyteller.feedback.history import GenerationHistory

DataKind = Literal["sft", "preference", "unpaired"]

PAIRS_PER_PROMPT: Final = 3
ONE_IN: Final = 10  # documents held out


class DataSet(msgspec.Struct, frozen=True, kw_only=True):
    """An export before it is written.

    Attributes:
        data: the file's bytes.
        hash: their sha256.
        counts: what the minimums are about: rows, prompts, wanted, unwanted, documents, held_out.
        dropped: what was left out, by reason.
        missing: for each minimum not reached, a phrase that says what there is and what is needed.
        events: the ids of the events the rows stand on.
        human_characters: how much human text to mix in at the least.
    """

    kind: DataKind
    size: int
    data: bytes
    hash: str
    counts: dict[str, int]
    dropped: dict[str, int]
    missing: tuple[str, ...]
    events: tuple[str, ...]
    human_characters: int


class _Gathered(msgspec.Struct):
    rows: list[Row] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def build(
    kind: DataKind,
    history: Sequence[GenerationHistory],
    *,
    genre: str | None = None,
    holdout: bool = False,
    refused: Collection[str] = (),
) -> DataSet:
    """Make the data set of `kind`.

    Args:
        kind: which rules to follow.
        history: the whole log; documents are held out by looking at all of it.
        genre: only what was written as this genre.
        holdout: the documents kept for evaluation instead of those for training.
        refused: ids of generations for which the writer's consent no longer stands.
    """
    gathered = _Gathered()
    rules = {"sft": spans, "preference": pairs, "unpaired": judgements}[kind]
    for generation in history:
        if genre is not None and generation.record.genre != genre:
            continue
        if generation.record.id in refused:
            gathered.dropped["consent withdrawn"] += 1
        elif generation.redacted or not generation.whole:
            gathered.dropped["redacted or cut"] += 1
        else:
            gathered.rows += rules(generation, gathered.dropped)
    gathered.rows = _consistent(gathered)
    held_out = held_out_documents(history)
    rows = _side(gathered, held_out, holdout=holdout)
    if kind == "preference":
        rows = _few_per_prompt(rows, gathered.dropped)
    return _finished(kind, rows, gathered.dropped, len(held_out), holdout=holdout)


def held_out_documents(history: Iterable[GenerationHistory]) -> frozenset[str]:
    """The documents kept for evaluation, by their hashes: one in ten, never the one the log began with.

    So a document stays on its side as others come, and who writes one book can train at all.
    """
    documents = list(dict.fromkeys(generation.document_hash for generation in history))
    return frozenset(document for document in documents[1:] if int(name_hash(document), 16) % ONE_IN == 0)


# choosing among the rows


def _consistent(gathered: _Gathered) -> list[Row]:
    """Every row once, and none that another contradicts: the same text wanted here and unwanted there."""
    seen: dict[object, bool | None] = {}
    for row in gathered.rows:
        key = (row.prompt, row.targets)
        seen[key] = row.wanted if seen.get(key, row.wanted) == row.wanted else None
    kept: dict[object, Row] = {}
    for row in gathered.rows:
        key = (row.prompt, row.targets)
        turned = (row.prompt, row.targets[::-1])
        if seen[key] is None or (turned != key and turned in seen):
            gathered.dropped["contradictory"] += 1
        elif key in kept:
            gathered.dropped["duplicate"] += 1
        else:
            kept[key] = row
    return list(kept.values())


def _side(gathered: _Gathered, held_out: frozenset[str], *, holdout: bool) -> list[Row]:
    """The rows of one side; from training also goes what the held-out side says word for word."""
    kept_back = [row for row in gathered.rows if row.document in held_out]
    if holdout:
        return kept_back
    known = {target for row in kept_back for target in row.targets}
    rows = []
    for row in gathered.rows:
        if row.document in held_out:
            gathered.dropped["held out"] += 1
        elif known.intersection(row.targets):
            gathered.dropped["also in a held-out document"] += 1
        else:
            rows.append(row)
    return rows


def _few_per_prompt(rows: Sequence[Row], dropped: Counter[str]) -> list[Row]:
    taken: Counter[object] = Counter()
    kept = []
    for row in rows:
        taken[row.prompt] += 1
        if taken[row.prompt] <= PAIRS_PER_PROMPT:
            kept.append(row)
        else:
            dropped["more than three of a prompt"] += 1
    return kept


def _finished(
    kind: DataKind, rows: Sequence[Row], dropped: Counter[str], held_out: int, *, holdout: bool
) -> DataSet:
    data = b"".join(_line(row.fields) for row in rows)
    wanted = sum(row.wanted for row in rows)
    counts = {
        "rows": len(rows),
        "prompts": len({row.prompt for row in rows}),
        "wanted": wanted,
        "unwanted": len(rows) - wanted,
        "documents": len({row.document for row in rows}),
        "held_out": held_out,
    }
    return DataSet(
        kind=kind,
        size=len(rows),
        data=data,
        hash=sha256(data).hexdigest(),
        counts=counts,
        dropped={reason: count for reason, count in sorted(dropped.items()) if count},
        missing=missing(kind, counts, holdout=holdout),
        events=tuple(dict.fromkeys(event for row in rows for event in row.grounds)),
        human_characters=sum(len(row.targets[0]) for row in rows),
    )


_MINIMUMS: Final[dict[DataKind, tuple[tuple[str, str, int], ...]]] = {
    "sft": (("rows", "accepted spans that survived", 50),),
    "preference": (("rows", "pairs", 200), ("prompts", "prompts with a pair", 50)),
    "unpaired": (
        ("rows", "judged takes", 100),
        ("wanted", "accepted and alive after 120 s", 20),
        ("unwanted", "rejected, retried, undone or rated down", 20),
    ),
}


def missing(kind: DataKind, counts: dict[str, int], *, holdout: bool = False) -> tuple[str, ...]:
    """What is not enough yet, in phrases such as "12 of 50 pairs". An evaluation set is enough with one row."""
    minimums = (("rows", "held-out rows", 1),) if holdout else _MINIMUMS[kind]
    return tuple(f"{counts[key]} of {least} {what}" for key, what, least in minimums if counts[key] < least)


def _line(fields: dict[str, object]) -> bytes:
    line = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
    return line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
