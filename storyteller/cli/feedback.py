"""`storyteller feedback`: look at the log, make data sets of it, take things out of it, say what may be kept."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
import typer

from storyteller.cli.confirm import confirmed
from storyteller.cli.feedback_tables import counted, history_table, stats_tables
from storyteller.cli.streams import notice, output, output_rich
from storyteller.errors import UserError
from storyteller.feedback.export import DataKind  # noqa: TC001 - typer reads the annotations
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import document_name
from storyteller.text import display_line

if TYPE_CHECKING:
    from storyteller.feedback.consent import Scope
    from storyteller.feedback.datasets import Removed
    from storyteller.feedback.export import DataSet
    from storyteller.feedback.history import GenerationHistory
    from storyteller.feedback.purge import Purged, Selection

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="What was offered and what became of it: on this machine only, and yours to look at, use and remove.",
)

_ALONE: Final = "This removes things for good and there is nobody to ask."
_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


Answer = Literal["on", "off"]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask again.")]
GenreOption = Annotated[str | None, typer.Option(metavar="GENRE", help="Only this genre.")]
DocumentOption = Annotated[str | None, typer.Option(metavar="FILE", help="Only this manuscript.")]


@app.command()
def show(
    *,
    limit: Annotated[int, typer.Option(min=1, help="So many of the latest generations.")] = 10,
    document: DocumentOption = None,
    genre: GenreOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what was offered, what you did about it and what still stands."""
    log = _open_log()
    found = _history(log, document=None if document is None else _name_in(log, document), genre=genre)[
        -limit:
    ]
    if as_json:
        output("".join(_json_line(_plain(generation)) for generation in found))
    elif found:
        output_rich(history_table(found))
    else:
        notice("Nothing is in the feedback log.")
    return 0


@app.command()
def stats(*, as_json: JsonOption = False) -> int:
    """Count what was offered, accepted and kept, and how far each data set is."""
    from storyteller.feedback.consent import allowed_by_generation
    from storyteller.feedback.history import read_history
    from storyteller.feedback.stats import statistics

    log = _open_log()
    with log.reading() as connection:
        history = [] if connection is None else read_history(connection)
        refused = {
            found.record.id
            for found in history
            if connection is not None and not allowed_by_generation(connection, found.record.id, log.refusals)
        }
    found = statistics(history, refused=refused)
    if as_json:
        output(_json_line(msgspec.to_builtins(found)))
    else:
        output_rich(stats_tables(found))
    return 0


@app.command()
def export(
    *,
    kind: Annotated[DataKind, typer.Option(help="Accepted spans, pairs, or single judgements.")],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-", help="Where to; - is standard output. Without it: the data directory."
        ),
    ] = None,
    genre: GenreOption = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="The documents kept for evaluation, not those for training.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say as JSON what was written.")] = False,
) -> int:
    """Make a data set for training: JSON Lines. The same log gives the same bytes."""
    from storyteller.feedback import datasets

    log = _open_log()
    try:
        if out == "-":
            dataset, place = datasets.export_text(log, kind, genre=genre, holdout=holdout), None
        else:
            to = None if out is None else Path(out)
            dataset, place = datasets.export(log, kind, to=to, genre=genre, holdout=holdout)
    except datasets.TooLittleFeedback as little:
        if as_json:
            output(_json_line(_dataset_facts(little.dataset, None)))
        else:
            _tell_dropped(little.dataset)
        raise
    if place is None:
        output(dataset.data.decode())
    elif as_json:
        output(_json_line(_dataset_facts(dataset, place)))
    else:
        output(f"{place}\n")
    if not as_json:
        _tell_dropped(dataset)
        notice(
            f"{counted(dataset.size, 'row')}. "
            f"Mix in at least {counted(dataset.human_characters, 'character')} of human text."
        )
    return 0


@app.command()
def redact(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="The words to strike out, as they stand.")
    ],
    *,
    regex: Annotated[bool, typer.Option("--regex", help="PATTERN is a regular expression.")] = False,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="In capitals too.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> int:
    """Strike words out of everything the log holds. Data sets that hold them are removed."""
    from storyteller.feedback import redact as redaction

    found = redaction.pattern(pattern, regex=regex, ignore_case=ignore_case)
    if not confirmed(
        "Strike it out everywhere in the feedback log? It cannot be brought back.", yes=yes, alone=_ALONE
    ):
        return 0
    redacted = redaction.redact(_open_log(), found)
    if as_json:
        output(_json_line(msgspec.to_builtins(redacted, enc_hook=str)))
        return 0
    where = counted(redacted.generations, "generation")
    output(f"Struck out of {counted(redacted.texts, 'text')}; {where} can no longer be learnt from.\n")
    _tell_removed(redacted.datasets)
    return 0


@app.command()
def purge(
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="From then on: 2026-11-20, 2026-11-20T18:30, or 30m, 12h, 7d, 2w ago."
        ),
    ] = None,
    document: DocumentOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> int:
    """Remove records for good: from the library, from exported data sets, from libraries that were set aside."""
    from storyteller.feedback import purge as purging

    log = _open_log()
    selection = _selection(log, since=since, document=document, everything=everything)
    ahead = purging.to_be_removed(log, selection)
    question = f"Remove {_what_goes(ahead)} for good?"
    if ahead.set_aside:
        files = counted(len(ahead.set_aside), "file")
        question = f"{question} {files} set aside earlier cannot be read and will go too."
    if not confirmed(question, yes=yes, alone=_ALONE):
        return 0
    purged = purging.purge(log, selection)
    if as_json:
        output(_json_line(msgspec.to_builtins(purged, enc_hook=str)))
        return 0
    output(f"Removed {_what_goes(purged)}.\n")
    for path in purged.set_aside:
        output(f"Removed {display_line(str(path))}\n")
    _tell_removed(purged.datasets)
    return 0


@app.command()
def consent(
    answer: Annotated[Answer | None, typer.Argument(help="Without it: what the answer is now.")] = None,
    *,
    genre: Annotated[str | None, typer.Option(metavar="GENRE", help="For one genre.")] = None,
    document: Annotated[str | None, typer.Option(metavar="FILE", help="For one manuscript.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Say whether what you do with takes may be kept on this machine: altogether, for a genre, for a manuscript."""
    log = _open_log()
    scope = _scope(log, genre=genre, document=document)
    if answer == "off":
        try:
            log.set_consent(scope, on=False)
        finally:  # a no stands, though the library be damaged
            _remember(log, scope, answer)
    elif answer == "on":
        log.set_consent(scope, on=True)
        _remember(log, scope, answer)
    now = log.consent(scope)
    if as_json:
        output(_json_line({"scope": scope.kind, "consent": now}))
    else:
        output({True: "on\n", False: "off\n", None: "not decided, which is off\n"}[now])
    return 0


def _open_log() -> FeedbackLog:
    from storyteller.config import load_settings
    from storyteller.feedback.consent import refusals_in

    settings, warnings = load_settings()
    for warning in warnings:
        notice(warning)
    return FeedbackLog(refusals=refusals_in(settings.consent, settings.refusals))


def _remember(log: FeedbackLog, scope: Scope, answer: Answer) -> None:
    """The answer in the settings: the only place for a no where there is no library."""
    from storyteller.config import load_settings, save_setting

    if scope.kind == "all":
        save_setting("consent", "yes" if answer == "on" else "no")
        return
    refusals = tuple(refusal for refusal in log.refusals if ":" in refusal)
    if refusals != load_settings()[0].refusals:
        save_setting("refusals", refusals or None)


def _scope(log: FeedbackLog, *, genre: str | None, document: str | None) -> Scope:
    from storyteller.feedback.consent import EVERYTHING, Scope

    if genre is not None and document is not None:
        message = "An answer is about a genre or about a document. Give one of --genre and --document."
        raise UserError(message)
    if genre is not None:
        return Scope.of_genre(genre)
    if document is not None:
        return Scope.of_document(_name_in(log, document))
    return EVERYTHING


def _history(
    log: FeedbackLog, *, document: str | None = None, genre: str | None = None
) -> list[GenerationHistory]:
    from storyteller.feedback.history import read_history

    with log.reading() as connection:
        return [] if connection is None else read_history(connection, document=document, genre=genre)


def _name_in(log: FeedbackLog, given: str) -> str:
    """The name the log has for a document given by its path, or by the name itself where it was never saved."""
    from storyteller.feedback.rows import pack_text

    with log.connected() as connection:
        known = (
            connection is not None
            and connection.execute(
                "SELECT 1 FROM generation WHERE document = ? LIMIT 1", (pack_text(given),)
            ).fetchone()
        )
    return given if known else document_name(Path(given).expanduser())


def _selection(log: FeedbackLog, *, since: str | None, document: str | None, everything: bool) -> Selection:
    from storyteller.feedback.purge import Selection

    if (since is not None) + (document is not None) + everything != 1:
        message = "Say what to purge: one of --since WHEN, --document FILE and --all."
        raise UserError(message)
    return Selection(
        everything=everything,
        document=None if document is None else _name_in(log, document),
        since=None if since is None else _moment(since),
    )


def _moment(text: str) -> float:
    """The Unix time of a local date, or of so long ago."""
    if text[:-1].isdecimal() and text[-1:] in _UNITS:
        try:
            return time.time() - (int(text[:-1]) * _UNITS[text[-1]]).total_seconds()
        except (OverflowError, ValueError):
            return 0.0  # longer ago than clocks go: everything
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError) as error:
        message = f"{text!r} is no time. Use a date such as 2026-11-20, or an age such as 30m, 12h, 7d or 2w."
        raise UserError(message) from error


def _what_goes(purged: Purged) -> str:
    generations, takes = counted(purged.generations, "generation"), counted(purged.takes, "take")
    return f"{generations}, {takes} and {counted(purged.events, 'event')}"


def _tell_dropped(dataset: DataSet) -> None:
    for reason, count in dataset.dropped.items():
        notice(f"left out: {count} ({reason})")


def _tell_removed(removed: Removed) -> None:
    for path in removed.files:
        output(f"Removed {display_line(str(path))}\n")
    for path in removed.left:
        notice(f"{path} was changed since it was exported and is still there. Look at it yourself.")
    for adapter in removed.adapters:
        notice(f"The adapter {adapter} was trained on what is now gone. Train it again, or remove it.")
    for genre in removed.runs:
        notice(
            f"The run of {genre} learns from what is now gone and will not be put to use. Begin anew: "
            f"storyteller train --genre {genre} --restart"
        )


def _dataset_facts(dataset: DataSet, place: Path | None) -> dict[str, object]:
    return {
        "kind": dataset.kind,
        "path": None if place is None else str(place),
        "rows": dataset.size,
        "hash": dataset.hash,
        "counts": dataset.counts,
        "dropped": dataset.dropped,
        "missing": list(dataset.missing),
        "human_characters": dataset.human_characters,
    }


def _plain(generation: GenerationHistory) -> dict[str, object]:
    """A generation as one JSON object, its takes, events and measurements inside."""
    takes = [
        {
            **msgspec.to_builtins(take.record),
            "events": msgspec.to_builtins(take.events),
            "survival": msgspec.to_builtins(take.survival),
        }
        for take in generation.takes
    ]
    return {
        **msgspec.to_builtins(generation.record),
        "redacted": generation.redacted,
        "takes": takes,
        "events": msgspec.to_builtins(generation.events),
    }


def _json_line(value: object) -> str:
    """ASCII alone: lone surrogates and terminal controls pass as escapes."""
    return json.dumps(value, ensure_ascii=True) + "\n"
