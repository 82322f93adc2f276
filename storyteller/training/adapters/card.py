"""An adapter's card: what it was trained on and how well it does, as card.json for programs and README.md for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.text import display_line
from storyteller.training.markdown import table

if TYPE_CHECKING:
    from pathlib import Path

CARD: Final = "card.json"
README: Final = "README.md"
_LIMIT: Final = 1_000_000  # bytes


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """Where an adapter comes from.

    Attributes:
        name: what `--adapter` takes.
        genre: the genre whose rules its documents went through.
        base: the name of the model it was trained on.
        base_hash: `engine.model_folder.model_hash` of that model: the adapter goes with no other.
        data_hash: sha256 over the documents.
        documents: how many were trained on.
        tokens: how many tokens they are.
        rank: of every low-rank product.
        alpha: over `rank` it is what the products are multiplied by.
        dropout: what was left out of them in training.
        rate: the highest learning rate.
        epochs: how often each document was read.
        steps: optimizer steps.
        batch: sequences a step.
        seq: tokens a sequence.
        dtype: what the base was computed in.
        seed: of every draw.
        perplexity_base: of the base on the held-out documents; None where it was not measured.
        perplexity_adapter: the same with the adapter.
        held_out_documents: how many were measured on and never learned from; of many, some.
        train_loss: nats a token at the end.
        seconds: how long the training took.
        created: when, as ISO 8601 with its zone.
        version: storyteller's.
        datasets: hashes of the feedback data sets it was made of.
        parents: for a mix, each adapter as `name/version` and its weight.
        notes: sentences for a reader.
    """

    name: str
    genre: str
    base: str
    base_hash: str
    data_hash: str
    documents: int
    tokens: int
    rank: int
    alpha: float
    dropout: float
    rate: float
    epochs: float
    steps: int
    batch: int
    seq: int
    dtype: str
    seed: int
    perplexity_base: float | None
    perplexity_adapter: float | None
    held_out_documents: int
    train_loss: float | None
    seconds: float
    created: str
    version: str
    datasets: tuple[str, ...] = ()
    parents: dict[str, float] = {}
    notes: tuple[str, ...] = ()


def read_card(folder: Path) -> Card | None:
    """The card of the adapter in `folder`; None where there is none that can be used."""
    path = folder / CARD
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
        card = msgspec.json.decode(data, type=Card) if len(data) <= _LIMIT else None
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return card if card is not None and _is_finite(card) else None


def card_json(card: Card) -> bytes:
    """`card` as the bytes of card.json."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"


def readme(card: Card) -> str:
    """`card` in words, as Markdown."""
    return "\n".join(
        [f"# {_shown(card.name)}", "", *_what_it_is(card), *_facts(card), *_how_to_use(card), ""]
    )


def _what_it_is(card: Card) -> list[str]:
    lines = [f"A LoRA adapter for {_shown(card.base)}, genre {_shown(card.genre)}, in PEFT's layout.", ""]
    if card.perplexity_base is not None and card.perplexity_adapter is not None:
        change = card.perplexity_adapter / card.perplexity_base - 1 if card.perplexity_base else 0.0
        lines.append(
            f"Perplexity on {card.held_out_documents} held-out documents: {card.perplexity_base:.2f} without it, "
            f"{card.perplexity_adapter:.2f} with it ({change:+.1%}).\n"
        )
    lines += [line for note in card.notes for line in (_shown(note), "")]
    return lines


def _facts(card: Card) -> list[str]:
    rows = [("base", f"{card.base}, hash {card.base_hash}"), ("rank", f"{card.rank}, alpha {card.alpha:g}")]
    if card.parents:
        mixed = " + ".join(f"{weight:g} of {name}" for name, weight in card.parents.items())
        rows.append(("mixed from", mixed))
    if card.steps:
        rows += [
            ("documents", f"{card.documents}, {card.tokens} tokens, hash {card.data_hash}"),
            (
                "training",
                f"{card.steps} steps of {card.batch} sequences of {card.seq}, {card.epochs:g} epochs",
            ),
            ("learning rate", f"{card.rate:g}, dropout {card.dropout:g}, {card.dtype}, seed {card.seed}"),
            ("time", f"{card.seconds:.0f} s"),
        ]
    if card.train_loss is not None:
        rows.append(("loss", f"{card.train_loss:.3f} nats a token"))
    rows.append(("made", f"{card.created} by storyteller {card.version}"))
    return table(("", ""), rows)


def _how_to_use(card: Card) -> list[str]:
    name = _shown(card.name)
    return [
        "```sh",
        f"storyteller continue --model {_shown(card.base)} --genre {_shown(card.genre)} --adapter {name} draft.md",
        "```",
        "",
        "```python",
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM",
        "",
        "model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE), THIS_FOLDER)",
        "```",
    ]


def _shown(text: str) -> str:
    return display_line(text)


def _is_finite(card: Card) -> bool:
    numbers = [value for value in msgspec.structs.astuple(card) if isinstance(value, float)]
    return all(map(math.isfinite, [*numbers, *card.parents.values()]))
