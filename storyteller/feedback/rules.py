"""What a generation teaches, one kind of data set each: pure functions from what was offered and done to rows.

`export` documents the fields of the rows and chooses among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.feedback.labels import Verdict, judge
from storyteller.feedback.survival import stands
from storyteller.manuscript.likeness import four_gram_overlap

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from storyteller.feedback.history import GenerationHistory, TakeHistory
    from storyteller.feedback.records import Horizon, Survival

SHOWN_LONG_ENOUGH_MS: Final = 500.0
NEARLY_EQUAL: Final = 0.8  # 4-gram overlap above which a pair teaches nothing
ALIVE_AFTER_S: Final = 120.0
_BEST_LOOKS: Final[tuple[Horizon, ...]] = ("save", "close", "600", "300", "120")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a data set and what is needed to choose it."""

    document: str
    prompt: tuple[str, tuple[int, ...]]
    targets: tuple[str, ...]  # (completion,) or (chosen, rejected)
    wanted: bool = True
    grounds: tuple[str, ...]
    fields: dict[str, object]


def spans(generation: GenerationHistory, dropped: Counter[str]) -> Iterator[Row]:
    """For supervised fine-tuning: what was accepted and survived, as it stands."""
    for take, verdict in _judged(generation, dropped):
        if verdict.accepted is None:
            continue
        look = _best_look(take, verdict)
        if look is None:
            dropped["what became of it is not known"] += 1
        elif not stands(look):
            dropped["did not survive"] += 1
        else:
            accepted = take.record.text[slice(*verdict.accepted)]
            ids = _exact_ids(take, look.now)
            whole = look.now == take.record.text
            yield _row(
                generation,
                take,
                verdict,
                (look.now,),
                {
                    "completion": look.now,
                    "completion_ids": ids,
                    "eos": whole and take.record.finish == "eos",
                    "source": "accepted" if look.now == accepted else "edited",
                    "horizon": look.horizon,
                },
            )


def pairs(generation: GenerationHistory, dropped: Counter[str]) -> Iterator[Row]:
    """Preferences inside one generation: what won against every other take that was seen long enough."""
    judged = list(_judged(generation, dropped))
    for take, verdict in judged:
        for chosen, source in _chosen(take, verdict):
            for sibling, other in judged:
                if source != "typed" and sibling is take:
                    continue
                problem = _unfit_for_pair(chosen, sibling, other)
                if problem:
                    dropped[problem] += 1
                    continue
                row = _row(
                    generation,
                    take,
                    verdict,
                    (chosen, sibling.record.text),
                    {
                        "chosen": chosen,
                        "chosen_ids": _exact_ids(take, chosen),
                        "chosen_source": source,
                        "rejected": sibling.record.text,
                        "rejected_ids": list(sibling.record.ids),
                    },
                    others=(sibling.record.id,),
                )
                yield row


def judgements(generation: GenerationHistory, dropped: Counter[str]) -> Iterator[Row]:
    """Takes wanted (accepted and alive after 120 s) and unwanted (refused, undone, rated down). Silence is neither."""
    for take, verdict in _judged(generation, dropped):
        if verdict.accepted is not None:
            if not _alive(take, verdict):
                dropped["not seen alive after 120 s"] += 1
                continue
            completion, wanted, reason = take.record.text[slice(*verdict.accepted)], True, "accepted"
        elif verdict.refused is not None or verdict.rating == "down":
            if not take.record.shown:
                dropped["was not seen"] += 1
                continue
            completion, wanted = take.record.text, False
            reason = verdict.refused or "rated down"
        else:
            continue
        yield _row(
            generation,
            take,
            verdict,
            (completion,),
            {
                "completion": completion,
                "completion_ids": _exact_ids(take, completion),
                "label": wanted,
                "reason": reason,
            },
            wanted=wanted,
        )


# what the rules are made of


def _judged(generation: GenerationHistory, dropped: Counter[str]) -> Iterator[tuple[TakeHistory, Verdict]]:
    """The takes one can learn from, each with its verdict."""
    for take in generation.takes:
        if not take.whole or not take.record.text:
            dropped["redacted or cut"] += not take.whole
            continue
        verdict = judge(take)
        dropped["rushed, or undone at once"] += verdict.noise
        if verdict.contradictory:
            dropped["contradictory"] += 1
        else:
            yield take, verdict


def _best_look(take: TakeHistory, verdict: Verdict) -> Survival | None:
    """The measurement that says most about the accepted span: what stands at save is the best label."""
    looks = _looks_at(take, verdict)
    return next((looks[horizon] for horizon in _BEST_LOOKS if horizon in looks), None)


def _alive(take: TakeHistory, verdict: Verdict) -> bool:
    """Whether the last look at least 120 s after the acceptance found it standing."""
    late = [look for look in _looks_at(take, verdict).values() if look.elapsed_s >= ALIVE_AFTER_S]
    return bool(late) and stands(max(late, key=lambda look: look.elapsed_s))


def _looks_at(take: TakeHistory, verdict: Verdict) -> dict[Horizon, Survival]:
    """The measurements of the span as it was accepted in the end, not of an earlier, shorter or longer one."""
    if verdict.accepted is None:
        return {}
    start, end = verdict.accepted
    return {horizon: look for horizon, look in take.survival.items() if look.length == end - start}


def _chosen(take: TakeHistory, verdict: Verdict) -> Iterator[tuple[str, str]]:
    """What won here: the accepted text as it stands now, or what the writer wrote in its place."""
    if verdict.accepted is not None:
        accepted = take.record.text[slice(*verdict.accepted)]
        look = _best_look(take, verdict)
        if look is None or look.now == accepted:
            yield accepted, "accepted"
        elif stands(look):
            yield look.now, "edited"
        elif look.now.strip():
            yield look.now, "typed"
    if verdict.replacement is not None and verdict.replacement.strip():
        yield verdict.replacement, "typed"


def _unfit_for_pair(chosen: str, sibling: TakeHistory, verdict: Verdict) -> str | None:
    """Why `sibling` cannot be the loser against `chosen`, or None."""
    text = sibling.record.text
    if not sibling.record.shown or sibling.record.shown_ms < SHOWN_LONG_ENOUGH_MS:
        return "shown too briefly"
    look = _best_look(sibling, verdict)
    if verdict.accepted is not None and (look is None or stands(look)):
        return "accepted as well"
    if not len(chosen) <= 2 * len(text) <= 4 * len(chosen):
        return "lengths beyond 1:2"
    if four_gram_overlap(chosen, text) > NEARLY_EQUAL:
        return "nearly equal"
    return None


def _row(
    generation: GenerationHistory,
    take: TakeHistory,
    verdict: Verdict,
    targets: tuple[str, ...],
    own: dict[str, object],
    *,
    wanted: bool = True,
    others: tuple[str, ...] = (),
) -> Row:
    record = generation.record
    identifier: object = [take.record.id, *others] if others else take.record.id
    return Row(
        document=generation.document_hash,
        prompt=(record.prompt, record.prompt_ids),
        targets=targets,
        wanted=wanted,
        grounds=verdict.grounds,
        fields={
            "id": identifier,
            "prompt": record.prompt,
            "prompt_ids": list(record.prompt_ids),
            "prompt_truncated": record.prompt_truncated,
            **own,
            "genre": record.genre,
            "model": record.model,
            "model_hash": record.model_hash,
            "document": generation.document_hash,
        },
    )


def _exact_ids(take: TakeHistory, text: str) -> list[int] | None:
    return list(take.record.ids) if text == take.record.text and take.record.ids else None
