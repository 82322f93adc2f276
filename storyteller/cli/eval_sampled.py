"""`storyteller eval diversity` and `memorisation`: what a model writes of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from storyteller.cli.eval_texts import known_texts, read_named
from storyteller.cli.options import (  # noqa: TC001 - as above
    DeviceOption,
    DtypeOption,
    ModelOption,
    ThreadsOption,
)
from storyteller.cli.streams import output
from storyteller.engine.presets import find_preset
from storyteller.errors import UserError
from storyteller.evaluation.texts import shipped_prompts
from storyteller.text import display_line

if TYPE_CHECKING:
    from storyteller.evaluation.memorisation import Memorisation
    from storyteller.evaluation.samples import Plan, Sample

PromptOption = Annotated[
    Path | None,
    typer.Option("--prompt", metavar="FILE", help="Prompts, one a line; else twenty that ship."),
]
TakesOption = Annotated[
    int, typer.Option("-n", "--takes", min=1, max=16, metavar="N", help="Continuations of each prompt.")
]
PresetOption = Annotated[
    str,
    typer.Option(
        "--preset", metavar="NAME", help="Sampler settings by name, of the base and adapters alike."
    ),
]
MaxTokensOption = Annotated[
    int, typer.Option("--max-tokens", min=1, max=100_000, metavar="N", help="How long each may grow.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=2**62, metavar="N", help="The same seed gives the same samples.")
]


def diversity(
    *,
    prompt: PromptOption = None,
    takes: TakesOption = 4,
    preset: PresetOption = "balanced",
    max_tokens: MaxTokensOption = 128,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
    model: ModelOption = None,
    adapter: ComparedOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    threads: ThreadsOption = None,
) -> int:
    """Sample continuations and measure how varied they are, for the base and each adapter.

    By words and marks: different n-grams (distinct), likeness to each other (self-BLEU-4), 4-grams said before in the
    same sample, words among the 16 before them (rep-w), length, and samples that the model ended itself.
    """
    from storyteller.evaluation.diversity import diversity as measure

    plan = _plan(prompt, takes, preset, max_tokens, seed)
    contest = Contest(model=model, adapter=adapter, device=device, dtype=dtype, threads=threads)
    rows = []
    for name, samples, seconds in _sampled(contest, plan):
        found = measure(samples)
        rows.append(
            [
                name, f"{found.distinct_1:.3f}", f"{found.distinct_2:.3f}", f"{found.distinct_3:.3f}",
                f"{found.distinct_4:.3f}", f"{found.self_bleu_4:.3f}", f"{found.repeated_4:.2%}",
                f"{found.repeated_near:.2%}", f"{found.mean_words:.1f}", f"{found.ended:.0%}",
                f"{found.samples}", f"{seconds:,.1f}",
            ]
        )  # fmt: skip
        if as_json:
            print_line(
                _row(name, contest, plan, preset) | msgspec.structs.asdict(found) | {"seconds": seconds}
            )
    if not as_json:
        headings = ("distinct-1", "-2", "-3", "-4", "self-BLEU-4", "repeated", "rep-w", "words", "ended")
        print_table((*headings, "samples", "seconds"), rows)
    return 0


def memorisation(
    *,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="What the model was trained on: files, folders, or the tokens of a `pretrain` run. Repeat for more.",
        ),
    ] = None,
    genre: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The texts of a genre, as `storyteller train --genre` reads them."),
    ] = None,
    prompt: PromptOption = None,
    takes: TakesOption = 4,
    preset: PresetOption = "balanced",
    max_tokens: MaxTokensOption = 128,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
    model: ModelOption = None,
    adapter: ComparedOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    threads: ThreadsOption = None,
) -> int:
    """Sample continuations and measure how much of them stands in the training texts, for the base and each adapter.

    By tokens of the model: the share of 8-grams and of 13-grams that occur in the corpus, and the longest copy.
    """
    from storyteller.evaluation.memorisation import memorisation as measure

    known = known_texts(corpus or [], genre)
    plan = _plan(prompt, takes, preset, max_tokens, seed)
    contest = Contest(model=model, adapter=adapter, device=device, dtype=dtype, threads=threads)
    sampled = _sampled(contest, plan)
    groups = [[sample.text for sample in samples] for _, samples, _ in sampled]
    rows = []
    found = measure(contest.core.opened.tokens, groups, known)
    for (name, _, seconds), row in zip(sampled, found, strict=True):
        rows.append(
            [
                name, f"{row.copied_8:.2%}", f"{row.copied_13:.2%}", f"{row.longest}", f"{row.samples}",
                f"{row.corpus_tokens:,}", f"{seconds:,.1f}",
            ]
        )  # fmt: skip
        if as_json:
            print_line(_row(name, contest, plan, preset) | msgspec.structs.asdict(row) | {"seconds": seconds})
    if not as_json:
        headings = ("8-grams", "13-grams", "longest copy", "samples", "tokens of corpus", "seconds sampled")
        print_table(headings, rows)
        output("\n" + "".join(_copy(name, row) for (name, _, _), row in zip(sampled, found, strict=True)))
    return 0


def _plan(prompt: Path | None, takes: int, preset: str, max_tokens: int, seed: int) -> Plan:
    from storyteller.evaluation.samples import Plan

    lines = shipped_prompts() if prompt is None else read_named(str(prompt)).split("\n")
    prompts = tuple(line for line in lines if line.strip())
    if not prompts:
        raise UserError(f"There is no prompt in {prompt}: it has to have one a line.")
    settings = find_preset(preset).settings
    return Plan(prompts=prompts, takes=takes, max_tokens=max_tokens, settings=settings, seed=seed)


def _sampled(contest: Contest, plan: Plan) -> list[tuple[str, list[Sample], float]]:
    """Each contestant's name, samples, and the seconds they took."""
    from storyteller.evaluation.samples import sample

    sampled = []
    for contestant in contest.contestants:
        started = time.perf_counter()
        with measuring():
            samples = sample(contest.core, plan, contestant.adapters, told(f"sampling, {contestant.name}"))
        sampled.append((contestant.name, samples, time.perf_counter() - started))
    return sampled


def _row(name: str, contest: Contest, plan: Plan, preset: str) -> dict[str, object]:
    asked = {"preset": preset, "max_tokens": plan.max_tokens, "takes": plan.takes, "seed": plan.seed}
    return {"adapter": name, **contest.about, "prompts": len(plan.prompts), **asked}


def _copy(name: str, row: Memorisation) -> str:
    if not row.longest:
        return f"{display_line(name)}: nothing is shared.\n"
    where = display_line(row.longest_source)
    return f"{display_line(name)}, {row.longest} tokens of {where}: {display_line(row.longest_text)}\n"
