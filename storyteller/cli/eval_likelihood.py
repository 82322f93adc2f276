"""`storyteller eval perplexity` and `lambada`: how well a model foretells texts that exist."""

from __future__ import annotations

import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Final

import msgspec
import typer

from storyteller.cli.eval_model import (
    ComparedOption,
    Contest,
    JsonOption,
    measuring,
    print_line,
    print_table,
    told,
)
from storyteller.cli.eval_texts import read_documents, read_named
from storyteller.cli.options import DeviceOption, ModelOption, ThreadsOption  # noqa: TC001 - as above
from storyteller.errors import UserError
from storyteller.evaluation.texts import joined, shipped_stop_words
from storyteller.evaluation.texts import wikitext as wikitext_rows
from storyteller.paths import assets_dir

_EXACT: Final = "float32"  # what published figures were measured in, or near to
ExactDtypeOption = Annotated[
    str, typer.Option("--dtype", metavar="DTYPE", rich_help_panel="Model", help="What is computed in.")
]


def perplexity(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|-", help="A text, or JSONL or JSON with `text`; else a text that ships."
        ),
    ] = None,
    *,
    wikitext: Annotated[
        str | None,
        typer.Option("--wikitext", metavar="FILE", help="WikiText's raw file, read as the field reads it."),
    ] = None,
    by_document: Annotated[
        bool,
        typer.Option("--documents", help="Score each document on its own, after <|endoftext|>."),
    ] = False,
    stride: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Tokens from window to window; half the window if left out."),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Tokens a window holds; all the model has room for."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N characters, or documents.")
    ] = None,
    as_json: JsonOption = False,
    model: ModelOption = None,
    adapter: ComparedOption = None,
    device: DeviceOption = None,
    dtype: ExactDtypeOption = _EXACT,
    threads: ThreadsOption = None,
) -> int:
    """Measure perplexity over a text: by token, by word, and bits a byte, for the base and each adapter.

    Windows overlap, and score only what the one before has not. Several documents are one text, joined by blank
    lines, unless --documents is given.
    """
    from storyteller.evaluation.perplexity import perplexity as measure

    texts = _perplexity_texts(source, wikitext, by_document=by_document, limit=limit)
    contest = Contest(model=model, adapter=adapter, device=device, dtype=dtype, threads=threads)
    opened = contest.core.opened
    size = window or opened.config.n_positions
    step = stride or max(1, size // 2)
    rows = []
    for contestant in contest.contestants:
        started = time.perf_counter()
        with measuring():
            found = measure(
                contest.network(contestant),
                opened.tokens,
                texts,
                stride=step,
                window=size,
                opened=by_document,
                progress=told(f"perplexity, {contestant.name}"),
            )
        seconds = time.perf_counter() - started
        rows.append(
            [
                contestant.name, f"{found.perplexity:,.2f}", f"{found.word_perplexity:,.2f}",
                f"{found.bits_per_byte:.4f}", f"{found.tokens:,}", f"{seconds:,.1f}",
            ]
        )  # fmt: skip
        if as_json:
            figures = {
                "perplexity": found.perplexity,
                "word_perplexity": found.word_perplexity,
                "bits_per_byte": found.bits_per_byte,
                **msgspec.structs.asdict(found),
            }
            asked = {"documents": len(texts), "stride": step, "window": size}
            print_line({"adapter": contestant.name, **contest.about, **asked, **figures, "seconds": seconds})
    if not as_json:
        print_table(("a token", "a word", "bits a byte", "tokens", "seconds"), rows)
    return 0


def lambada(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="LAMBADA, OpenAI's: JSONL with `text`.")],
    *,
    stop_words: Annotated[
        bool, typer.Option("--stop-words", help="Never guess a stop word, as GPT-2's paper did.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N passages.")] = None,
    as_json: JsonOption = False,
    model: ModelOption = None,
    adapter: ComparedOption = None,
    device: DeviceOption = None,
    dtype: ExactDtypeOption = _EXACT,
    threads: ThreadsOption = None,
) -> int:
    """Measure how often the last word of a passage is guessed, and its perplexity, for the base and each adapter."""
    from storyteller.evaluation.lambada import lambada as measure
    from storyteller.evaluation.lambada import split_last_word

    passages = read_documents(str(source))[:limit]
    if not passages:
        raise UserError(f"There is no passage in {source}.")
    for passage in passages:
        split_last_word(passage)  # a mistake is told before the model is opened
    unsaid = shipped_stop_words() if stop_words else frozenset()
    contest = Contest(model=model, adapter=adapter, device=device, dtype=dtype, threads=threads)
    rows = []
    for contestant in contest.contestants:
        started = time.perf_counter()
        with measuring():
            found = measure(
                contest.network(contestant),
                contest.core.opened.tokens,
                passages,
                stop_words=unsaid,
                progress=told(f"lambada, {contestant.name}"),
            )
        seconds = time.perf_counter() - started
        rows.append(
            [
                contestant.name, f"{found.accuracy:.2%}", f"{found.perplexity:,.2f}",
                f"{found.passages:,}", f"{seconds:,.1f}",
            ]
        )  # fmt: skip
        if as_json:
            figures = msgspec.structs.asdict(found)
            head = {"adapter": contestant.name, **contest.about, "stop_words": stop_words}
            print_line({**head, **figures, "seconds": seconds})
    if not as_json:
        print_table(("accuracy", "perplexity", "passages", "seconds"), rows)
    return 0


def _perplexity_texts(
    source: str | None, wikitext: str | None, *, by_document: bool, limit: int | None
) -> list[str]:
    """What is scored, as documents: one, unless each is to be on its own."""
    if source is not None and wikitext is not None:
        raise UserError("A FILE and --wikitext were given; give one of them.")
    if wikitext is not None and by_document:
        raise UserError("WikiText is one text; leave --documents out.")
    if wikitext is not None:
        texts = [wikitext_rows(read_named(wikitext))]
    else:
        texts = read_documents(source or str(assets_dir() / "eval" / "held-out.txt"))
    if not any(text.strip() for text in texts):
        raise UserError("There is no text to score: the file is empty.")
    return texts[:limit] if by_document else [joined(texts)[:limit]]
