"""The feedback log as tables for a person: every text in them display-safe, none of it markup."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from storyteller.feedback.labels import judge
from storyteller.feedback.survival import stands
from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.feedback.history import GenerationHistory, TakeHistory
    from storyteller.feedback.stats import Stats

_LONGEST_SHOWN: Final = 200  # characters of a take


def history_table(history: Sequence[GenerationHistory]) -> Group:
    """Each generation as a line and the table of its takes."""
    parts: list[Text | Table] = []
    for generation in history:
        record = generation.record
        heading = Text(f"{_when(record.ts)}  {display_line(record.document)}", style="bold")
        facts = [record.genre, record.model, f"seed {record.seed}", f"at character {record.cursor}"]
        heading.append(
            "\n" + display_line("  ".join(filter(None, facts))) + "  redacted" * generation.redacted, "dim"
        )
        parts += [heading, _takes_table(generation.takes)]
    return Group(*parts)


def stats_tables(stats: Stats) -> Group:
    """What `feedback stats` says."""
    summary = Text(
        f"{counted(stats.generations, 'generation')} in {counted(stats.documents, 'document')}, "
        f"{counted(stats.takes, 'take')}, {counted(stats.characters_accepted, 'character')} accepted"
    )
    return Group(
        summary, _genres_table(stats), _standing_table(stats), _datasets_table(stats), _events(stats)
    )


def counted(number: int, what: str) -> str:
    """`1 take`, `2 takes`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _takes_table(takes: Sequence[TakeHistory]) -> Table:
    table = _table("take", "shown", "what you did", "what stands", "text")
    for take in takes:
        shown = f"{take.record.shown_ms / 1000:.1f} s" if take.record.shown else "no"
        text = take.record.text
        cut = text[:_LONGEST_SHOWN] + ("…" if len(text) > _LONGEST_SHOWN else "")
        table.add_row(
            str(take.record.index + 1), shown, _deed(take), _what_stands(take), Text(display_line(cut))
        )
    return table


def _deed(take: TakeHistory) -> str:
    verdict = judge(take)
    said = []
    if verdict.accepted is not None:
        start, end = verdict.accepted
        whole = end - start == len(take.record.text)
        said.append("accepted" if whole else f"accepted {end - start} characters")
    elif verdict.refused is not None:
        said.append(verdict.refused)
    if verdict.rating is not None:
        said.append(f"rated {verdict.rating}")
    if verdict.replacement is not None:
        said.append("wrote something else")
    return ", ".join(said) or "nothing"


def _what_stands(take: TakeHistory) -> str:
    for horizon, name in (("close", "at the end"), ("save", "when saved")):
        look = take.survival.get(horizon)  # type: ignore[call-overload]  # both are horizons
        if look is not None:
            share = look.kept / look.length if look.length else 0.0
            return f"{share:.0%} {name}" if stands(look) else f"gone {name}"
    return ""


def _genres_table(stats: Stats) -> Table:
    table = _table("genre", "generations", "shown", "accepted", "refused")
    for name, genre in stats.genres.items():
        shares = [
            f"{count} ({count / genre.shown:.0%})" if genre.shown else str(count)
            for count in (genre.accepted, genre.refused)
        ]
        table.add_row(Text(display_line(name) or "none"), str(genre.generations), str(genre.shown), *shares)
    return table


def _standing_table(stats: Stats) -> Table:
    table = _table("looked after", "takes", "still stood", "characters kept")
    for horizon, standing in stats.standing.items():
        name = f"{horizon} s" if horizon.isdecimal() else horizon
        table.add_row(name, str(standing.looked), str(standing.stood), f"{standing.kept_share:.0%}")
    return table


def _datasets_table(stats: Stats) -> Table:
    table = _table("data set", "rows", "")
    for kind, readiness in stats.datasets.items():
        needs = ", ".join(readiness.missing)
        table.add_row(kind, str(readiness.rows), f"needs more: {needs}" if needs else "ready to export")
    return table


def _events(stats: Stats) -> Text:
    return Text("events: " + (", ".join(f"{kind} {count}" for kind, count in stats.events.items()) or "none"))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _when(ts: float) -> str:
    try:
        return datetime.fromtimestamp(ts).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"
