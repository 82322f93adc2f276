"""A model's card: where it comes from and how well it does, as pretraining.json for programs and README.md for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from storyteller import __version__
from storyteller.text import display_line
from storyteller.training.markdown import table
from storyteller.training.pretraining.events import (  # noqa: TC001 - msgspec reads the annotations
    GenreTokens,
    Measured,
)
from storyteller.training.pretraining.recipe import Recipe  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from pathlib import Path

RECORD: Final = "pretraining.json"
README: Final = "README.md"
_ROWS: Final = 16  # of the curve
_HOW_TO_USE: Final = (
    "## Use",
    "",
    "```sh",
    "storyteller --model THIS_FOLDER draft.md",
    "```",
    "",
    "```python",
    "from transformers import AutoModelForCausalLM, AutoTokenizer",
    "",
    'model = AutoModelForCausalLM.from_pretrained("THIS_FOLDER")',
    'tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")',
    "```",
    "",
    "Quotes were straight in all it read, and `<|endoftext|>` ended every text.",
    "",
)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model comes from; what marks its folder as one that a later run may write over.

    Attributes:
        start: the name of the model it went on from; None: from nothing.
        parameters, vocabulary: how many.
        texts: the hash of what the tokens were made of.
        genres: what there was to learn from.
        step, tokens, seconds: how long.
        curve: what was measured on the way.
        bits_per_byte: of all that is held out, by genre, at the end.
    """

    recipe: Recipe
    start: str | None
    parameters: int
    vocabulary: int
    texts: str
    genres: tuple[GenreTokens, ...]
    step: int
    tokens: int
    seconds: float
    curve: tuple[Measured, ...]
    bits_per_byte: dict[str, float]
    version: str = __version__


def record_json(record: Record) -> bytes:
    """`record` as the bytes of pretraining.json."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def is_written_by_hand(folder: Path) -> bool:
    """Whether the README.md in `folder` is there and no longer what `readme` makes of the record beside it.

    Raises:
        OSError: it cannot be read.
    """
    try:
        found = (folder / README).read_bytes()
    except FileNotFoundError:
        return False
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    except (OSError, ValueError):  # msgspec's errors, and bytes that are no UTF-8
        return True
    return found != readme(record).encode()


def readme(record: Record) -> str:
    """`record` in words, as Markdown."""
    return "\n".join(
        [
            *_front(record),
            *_what_it_is(record),
            *_texts(record),
            *_training(record),
            *_curve(record),
            *_HOW_TO_USE,
        ]
    )


def _front(record: Record) -> list[str]:
    """What model hubs read."""
    return [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [gpt2, storyteller]",
        "---",
        "",
        f"# {display_line(record.recipe.name)}",
        "",
    ]


def _what_it_is(record: Record) -> list[str]:
    shape, start = record.recipe.model, record.start
    origin = "from nothing" if start is None else f"on from the weights of `{display_line(start)}`"
    what = (
        f"A GPT-2 of {record.parameters / 1e6:.1f} million parameters: {shape.width} wide, {shape.layers} layers, "
        f"{shape.heads} heads, context {shape.context:,}, vocabulary {record.vocabulary:,} (byte-level BPE). Weights are "
        f"bfloat16. Trained {origin} by `storyteller pretrain`."
    )
    how = (
        "Bits a byte of text held out by document and never learned from, in windows of the whole context without "
        "overlap:"
    )
    figures = tuple(f"{bits:.4f}" for bits in record.bits_per_byte.values())
    return [what, "", how, "", *table(tuple(record.bits_per_byte), [figures])]


def _texts(record: Record) -> list[str]:
    sources = {source.genre: source for source in record.recipe.sources}
    rows = []
    for genre in record.genres:
        source = sources[genre.genre]
        where = source.path + (f", only {source.inside}" if source.inside else "")
        rows.append(
            (
                genre.genre,
                where or "Python's standard library",
                f"{genre.documents:,}",
                f"{genre.tokens / 1e6:,.2f}",
                f"{source.repeats}",
                f"{genre.held_out_documents:,}",
            )
        )
    head = ("genre", "source", "documents", "million tokens", "times an epoch", "documents measured on")
    return ["## Texts", "", *table(head, rows)]


def _training(record: Record) -> list[str]:
    training = record.recipe.training
    steps = f"{record.step:,} steps of {training.tokens_per_step:,}"
    muon = f"rate {training.matrix_rate:g}, momentum {training.momentum:g}, weight decay {training.weight_decay:g}"
    rows = [
        ("read", f"{record.tokens:,} tokens in {steps}, {record.seconds / 60:,.0f} minutes"),
        ("matrices of the blocks", f"Muon, {muon}"),
        ("embeddings, norms, biases", f"AdamW, rate {training.rate:g}"),
        ("rates", f"{training.warm_up} steps up, level, down to nothing over the last {training.decay:.0%}"),
        ("products", training.dtype),
        ("seed", f"{training.seed}"),
        ("made", f"by storyteller {record.version}"),
    ]
    return ["## Training", "", *table(("", ""), rows)]


def _curve(record: Record) -> list[str]:
    if not record.curve:
        return []
    genres = tuple(record.bits_per_byte)
    every = max(1, -(-len(record.curve) // _ROWS))
    shown = record.curve[::-1][::every][::-1]  # the last one always
    rows = [
        (
            f"{one.tokens / 1e6:,.1f}",
            *(f"{one.bits_per_byte[genre]:.4f}" for genre in genres),
        )
        for one in shown
    ]
    most = record.recipe.training.measured_tokens
    return [
        "## Curve",
        "",
        f"Bits a byte of the first {most:,} tokens held out of each genre (or all there are):",
        "",
        *table(("million tokens read", *genres), rows),
    ]
